"""docs/operate.md tells of every alarm, every status of an access and nothing that the stack does not have."""

import re
from typing import get_args

from latchkey.access.record import Status
from tests.contract.artefacts import RESOURCES, ROOT, of_type

TEXT = (ROOT / "docs/operate.md").read_text()


def table(title: str) -> list[tuple[list[str], str]]:
    """What is quoted in the first column of the table of this title, and what the second says."""
    [lines] = re.findall(rf"^\| {title} \|.*\n\|[-|]+\|\n((?:\|.*\|\n)+)", TEXT, re.MULTILINE)
    cells = [line.strip("| ").split(" | ") for line in lines.splitlines()]
    return [(re.findall(r"`([^`]+)`", first), second) for first, second in cells]


def test_every_alarm_has_one_row() -> None:
    told = [name for names, _ in table("Alarm") for name in names]

    assert sorted(told) == sorted(of_type("AWS::CloudWatch::Alarm"))


def test_every_status_of_an_access_is_explained() -> None:
    assert [name for names, _ in table("Status") for name in names] == list(get_args(Status))


def test_the_resources_that_commands_look_up_are_of_the_stack() -> None:
    told = re.findall(r"--(?:logical-resource-id|retain-resources) (\w+)", TEXT)

    assert told
    assert set(told) <= set(RESOURCES)


def test_the_readme_leads_there() -> None:
    assert "(docs/operate.md)" in (ROOT / "README.md").read_text()
