"""What a contributor meets first: CI, templates, hooks and the changelog fit the project."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.contract.artifacts import ROOT
from tests.contract.commands import check, statements
from tests.contract.documents import files

GITHUB = ROOT / ".github"


def load(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))
FORMS = [path for path in sorted(GITHUB.glob("ISSUE_TEMPLATE/*.yml")) if path.name != "config.yml"]
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
JOBS = [(name, job) for path in WORKFLOWS for name, job in load(path)["jobs"].items()]
each_job = pytest.mark.parametrize(("name", "job"), JOBS, ids=[name for name, _ in JOBS])


def test_ci_has_a_job_for_each_suite() -> None:
    run = {name: {step["run"] for step in job["steps"] if "run" in step} for name, job in JOBS}

    assert run == {
        name: {f"make {name}"} for name in ("lint", "audit", "test", "sam-local", "models", "test-all", "interleavings")
    }


def test_what_the_test_suite_samples_runs_whole_on_a_schedule() -> None:
    nightly = load(GITHUB / "workflows/nightly.yml")
    on = nightly.get("on", nightly.get(True))

    assert on["schedule"]
    assert {step["run"] for job in nightly["jobs"].values() for step in job["steps"] if "run" in step} == {
        "make test-all",
        "make interleavings",
    }
    assert "WHOLE=1 $(MAKE) --no-print-directory test\n" in (ROOT / "Makefile").read_text()


@each_workflow
def test_every_action_is_pinned_by_commit_with_its_version(path: Path) -> None:
    uses = re.findall(r"uses:\s*(.*)", path.read_text())

    assert uses
    assert [action for action in uses if not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)] == []


@each_workflow
def test_a_workflow_can_only_read(path: Path) -> None:
    assert load(path)["permissions"] == {"contents": "read"}
    assert "secrets." not in path.read_text()
    assert "pull_request_target" not in path.read_text()


@each_job
def test_a_job_ends_and_keeps_no_credentials(name: str, job: dict[str, Any]) -> None:
    most_minutes = 350 if name in load(GITHUB / "workflows/nightly.yml")["jobs"] else 60
    checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]

    assert job["timeout-minutes"] <= most_minutes
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False]


@each_job
def test_a_job_runs_commands_and_reads_files_that_exist(name: str, job: dict[str, Any]) -> None:
    for step in job["steps"]:
        for words in statements(step.get("run", "")):
            check(words)
        inputs = step.get("with", {})
        named = [*inputs.get("cache-dependency-path", "").split(), *inputs.get("python-version-file", "").split()]
        assert [file for file in named if not (ROOT / file).is_file()] == []


def test_dependabot_watches_every_pinned_file() -> None:
    updates = {update["package-ecosystem"]: update for update in load(GITHUB / "dependabot.yml")["updates"]}
    pinned = {Path(file).parent.as_posix() for file in files() if re.fullmatch(r"(.*/)?requirements[\w-]*\.txt", file)}

    locked = {Path(file).parent.as_posix() for file in files() if Path(file).name == "package-lock.json"}

    assert set(updates) == {"pip", "npm", "github-actions"}
    assert {folder.strip("/") or "." for folder in updates["pip"]["directories"]} == pinned
    assert {updates["npm"]["directory"].strip("/")} == locked


def test_dependabot_groups_name_required_packages() -> None:
    [pip, *_] = load(GITHUB / "dependabot.yml")["updates"]
    pins = "\n".join((ROOT / file).read_text() for file in files() if re.search(r"requirements[\w-]*\.txt$", file))
    names = set(re.findall(r"^([\w.-]+)==", pins, re.MULTILINE))
    patterns = [pattern for group in pip["groups"].values() for pattern in group["patterns"]]

    assert [text for text in patterns if not [name for name in names if re.fullmatch(text.replace("*", ".*"), name)]] == []


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_an_issue_form_is_one(path: Path) -> None:
    """https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests/syntax-for-issue-forms"""
    form = load(path)
    fields = [item for item in form["body"] if item["type"] != "markdown"]
    ids = [field["id"] for field in fields]

    assert form["name"]
    assert form["description"]
    assert {item["type"] for item in form["body"]} <= {"markdown", "textarea", "input", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in fields)
    assert all(re.fullmatch(r"[\w-]+", name) for name in ids)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("path", [*FORMS, GITHUB / "PULL_REQUEST_TEMPLATE.md"], ids=lambda path: path.name)
def test_a_template_names_files_that_exist(path: Path) -> None:
    text = path.read_text().replace(".live-check/live-check.md", "")  # what a command writes
    named = re.findall(r"(?:blob/main/)?\b((?:docs/)?[\w-]+\.md)\b", text)

    assert [file for file in named if not (ROOT / file).is_file()] == []


def test_every_path_with_an_owner_exists() -> None:
    lines = [line.split() for line in (GITHUB / "CODEOWNERS").read_text().splitlines() if line and not line.startswith("#")]

    assert lines[0][0] == "*"
    for pattern, *owners in lines:
        assert pattern == "*" or (ROOT / pattern.lstrip("/")).exists()
        assert [owner for owner in owners if not re.fullmatch(r"@[\w-]+(/[\w-]+)?", owner)] == []


HOOKS = [hook for repository in load(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repository["hooks"]]


def test_hooks_come_from_this_repository() -> None:
    assert {repository["repo"] for repository in load(ROOT / ".pre-commit-config.yaml")["repos"]} == {"local"}
    assert {hook["language"] for hook in HOOKS} == {"system"}


@pytest.mark.parametrize("hook", HOOKS, ids=[hook["id"] for hook in HOOKS])
def test_a_hook_runs_a_tool_of_the_project(hook: dict[str, Any]) -> None:
    [words] = statements(hook["entry"])

    check(words)
    assert words[0] == "make" or (ROOT / words[0]).exists()


def test_the_changelog_lists_versions_from_the_newest() -> None:
    """https://keepachangelog.com/en/1.1.0/"""
    text = (ROOT / "CHANGELOG.md").read_text()
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    versions = [tuple(map(int, title[1:].partition("]")[0].split("."))) for title in titles[1:]]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert titles[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", title) for title in titles[1:])
    assert all(newer > older for newer, older in pairwise(versions))
    assert project == ".".join(map(str, versions[0]))
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= {
        "Added", "Changed", "Deprecated", "Removed", "Fixed", "Security",
    }  # fmt: skip


# Written so that this file does not match. The folder in a Lambda container that docs/develop.md names is not of a machine.
OF_ONE_MACHINE = re.compile(
    r"(?:pypi|pythonhosted|npmjs)[.](?:org|com)|(?<!no-emit-)(?:extra-)?index[-_]url"
    r"|(?<![\w.}$*])/(?:work|root|home|Users|tmp(?!/lambci_debug_files))/\w"
)


def test_no_file_names_a_package_registry_or_a_folder_of_one_machine() -> None:
    texts = {file: (ROOT / file).read_text(errors="ignore") for file in files()}

    assert [(file, found[0]) for file, text in texts.items() for found in OF_ONE_MACHINE.finditer(text)] == []


FOUND = ["https://pypi" + ".org/simple", "--index" + "-url x", "/ho" + "me/somebody/project", "(/tm" + "p/x)"]


@pytest.mark.parametrize("text", FOUND)
def test_such_an_address_or_folder_is_found(text: str) -> None:
    assert OF_ONE_MACHINE.search(text)


def test_test_modules_in_different_folders_can_have_the_same_name(pytestconfig: pytest.Config) -> None:
    names = [path.stem for path in (ROOT / "tests").rglob("test_*.py")]

    assert len(names) > len({*names})  # otherwise, this test is no longer needed
    assert pytestconfig.getoption("importmode") == "importlib"
