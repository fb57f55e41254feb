"""docs/operate.md explains every alarm and every status of an access, and names only resources that the stack has."""

import re
from typing import get_args

from latchkey.access.record import Status
from tests.contract.artefacts import ALARMS, RESOURCES, ROOT

TEXT = (ROOT / "docs/operate.md").read_text()


def table(title: str) -> list[tuple[list[str], str]]:
    """The names in the first column of the table with this title, with the text of the second column."""
    [lines] = re.findall(rf"^\| {title} \|.*\n\|[-|]+\|\n((?:\|.*\|\n)+)", TEXT, re.MULTILINE)
    cells = [line.strip("| ").split(" | ") for line in lines.splitlines()]
    return [(re.findall(r"`([^`]+)`", first), second) for first, second in cells]


def test_every_alarm_has_one_row() -> None:
    listed = [name for names, _ in table("Alarm") for name in names]

    assert sorted(listed) == sorted(ALARMS)


def test_every_status_of_an_access_is_explained() -> None:
    assert [name for names, _ in table("Status") for name in names] == list(get_args(Status))


def test_commands_name_resources_of_the_stack() -> None:
    named = re.findall(r"--(?:logical-resource-id|retain-resources) (\w+)", TEXT)

    assert named
    assert set(named) <= set(RESOURCES)


def test_the_readme_links_the_page() -> None:
    assert "(docs/operate.md)" in (ROOT / "README.md").read_text()
