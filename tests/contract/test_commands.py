"""What the documents tell a reader to run exists."""

import re

from tests.contract.artefacts import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))


def commands(text: str) -> set[str]:
    """The targets of `make <target>` in code: between backticks, or on a line of their own."""
    return set(re.findall(r"(?:^|`|&& |\$ )make ([a-z][a-z-]*)", text, re.MULTILINE))


def test_every_command_of_the_readme_is_a_target() -> None:
    told = commands((ROOT / "README.md").read_text())

    assert {"demo", "test", "local", "deploy"} <= told
    assert told - TARGETS == set()


def test_every_command_of_the_documents_is_a_target() -> None:
    documents = [*ROOT.glob("docs/*.md"), *ROOT.glob("local_aws/*.md")]

    assert documents
    assert {(path.name, command) for path in documents for command in commands(path.read_text()) - TARGETS} == set()


def test_what_ci_runs_are_targets() -> None:
    told = commands((ROOT / ".ci/run").read_text())

    assert {"lint", "test"} <= told <= TARGETS


def test_every_target_without_a_file_is_phony() -> None:
    [phony] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)

    assert set(phony.split()) == TARGETS


def test_the_readme_is_short_enough_to_read() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200
