"""docs/add-a-system.md: its steps, applied to a copy of the project, add a system whose tests pass."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.artifacts import ROOT, copy
from tests.contract.documents import files

WALK = (ROOT / "docs/add-a-system.md").read_text()
STEPS = re.findall(r"^<!-- file: (\S+) -->\n```(\w+)\n(.*?)^```$", WALK, re.MULTILINE | re.DOTALL)
NAMED = "medialive"


def changed(text: str, difference: str) -> str:
    """The text with a change at every place where its context occurs, at any indentation.

    If the last line is context, it can be the beginning of a line.
    """
    old = [line[1:] for line in difference.splitlines() if line[0] in " -"]
    new = [line[1:] for line in difference.splitlines() if line[0] in " +"]
    end = "" if difference.splitlines()[-1].startswith(" ") else "$"
    place = re.compile(r"^( *)" + r"\n\1".join(map(re.escape, old)) + end, re.MULTILINE)
    assert place.search(text), f"nothing to change at {old}"
    return place.sub(lambda found: "\n".join(found[1] + line for line in new), text)


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project to which the steps are applied."""
    folder = tmp_path_factory.mktemp("project")
    copy(folder, *{file.partition("/")[0] for file in files()})
    for file, language, text in STEPS:
        path = folder / file
        if language == "diff":
            path.write_text(changed(path.read_text(), text))
        else:
            assert not path.exists(), f"{file} exists already"
            path.write_text(text)
    return folder


def test_every_block_of_the_walk_that_changes_a_file_is_applied() -> None:
    changing = re.findall(r"^```(?:python|json|diff)$", WALK, re.MULTILINE)

    assert len(STEPS) == len(changing)


def test_the_walk_ends_in_a_system_whose_tests_pass(project: Path) -> None:
    golden = ("tests/policies/test_golden_systems.py", "tests/contract/test_schemas.py")
    written = run(project, *golden, "-k", NAMED, "--update")
    tests = ("tests/contract", "tests/policies", "tests/unit")
    done = run(project, *tests, "-k", f"({NAMED} or permissions) and not add_a_system")

    assert written.returncode == 0, written.stdout
    assert done.returncode == 0, done.stdout
    assert (project / f"events/schemas/onboard-{NAMED}.json").is_file()
    assert (project / f"tests/policies/systems/{NAMED}/role.json").is_file()


def test_the_walk_is_not_green_before_its_last_step(project: Path) -> None:
    """Without the permissions of the template, the tests name the calls that are missing."""
    template = project / "template.yaml"
    whole = template.read_text()
    template.write_text((ROOT / "template.yaml").read_text())
    done = run(project, "tests/contract/test_permissions.py", "-k", "everything_the_package_calls")
    template.write_text(whole)

    assert done.returncode != 0
    assert f"{NAMED}:UpdateInput" in done.stdout
