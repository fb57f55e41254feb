"""docs/operate.md explains every alarm and every status of an access, and its commands name resources of the stack."""

import re
from typing import get_args

from latchkey.access.record import Status
from tests.contract.artifacts import ALARMS, RESOURCES, ROOT

TEXT = (ROOT / "docs/operate.md").read_text()


def names_in_table(title: str) -> list[str]:
    """The names in backticks in the first column of the table whose first heading is `title`."""
    [rows] = re.findall(rf"^\| {title} \|.*\n\|[-|]+\|\n((?:\|.*\|\n)+)", TEXT, re.MULTILINE)
    first_cells = [row.strip("| ").split(" | ")[0] for row in rows.splitlines()]
    return [name for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_alarm_has_one_row() -> None:
    assert sorted(names_in_table("Alarm")) == sorted(ALARMS)


def test_every_status_of_an_access_has_one_row() -> None:
    assert names_in_table("Status") == list(get_args(Status))


def test_commands_name_resources_of_the_stack() -> None:
    named = re.findall(r"--(?:logical-resource-id|retain-resources) (\w+)", TEXT)

    assert named
    assert set(named) <= set(RESOURCES)


def test_the_readme_links_to_the_page() -> None:
    assert "(docs/operate.md)" in (ROOT / "README.md").read_text()
