"""A whole run as a person starts it, with the permissions of live_check/policy.json and no others."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from live_check.names import PREFIX, TAG
from live_check.points import POINTS
from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import REPOSITORY, Embedded, until
from tests.live_check.conftest import POLICY, Person, everything, files, role_that_anybody_assumes

Start = Callable[..., "subprocess.Popen[str]"]
_HURRY = "400"
# With this, update-retires waits for half a minute, in which its source location exists.
_WAITING = ("--yes", "--hurry", "20")


@pytest.fixture
def start(local: Embedded, person: Person, tmp_path: Path) -> Iterator[Start]:
    """Starts `python -m live_check` as the person, or with other environment variables."""
    started = []

    def popen(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "live_check", "--hurry", _HURRY, "--origin", local.origin_url]
        process = subprocess.Popen(
            [*command, "--output", str(tmp_path / "results"), *arguments],
            cwd=REPOSITORY,
            env=os.environ | person.environment | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield popen
    for process in started:
        process.kill()
        process.communicate()
    if everything(local)["stacks"]:  # the test failed
        popen("--clean", "--yes").communicate()


@pytest.fixture
def before(local: Embedded) -> dict[str, list[Any]]:
    return everything(local)


def finish(process: "subprocess.Popen[str]", answer: str = "") -> tuple[int, str]:
    """Answers the question, waits for the end, and returns the status and everything that was printed."""
    output, errors = process.communicate(answer, timeout=200)
    return process.returncode, output + errors


def points_in(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "results/assumptions.json").read_text())["points"]
    return found


def test_a_run_settles_the_points_and_leaves_nothing(
    local: Embedded, start: Start, before: dict[str, list[Any]], tmp_path: Path
) -> None:
    local.control("PUT", "assumptions", {"mediatailorRetires": "never"})

    status, printed = finish(start(), "yes\n")

    assert status == 0, printed
    results = json.loads((tmp_path / "results/assumptions.json").read_text())
    unsettled = {point["point"]: point["reason"] for point in results["points"] if not point["settled"]}
    assert set(unsettled) == {"late-retirement", "reused-grant"}  # MediaTailor retires no grant here
    assert {point["point"] for point in results["points"]} == {point.name for point in POINTS}
    assert all(point["evidence"] for point in results["points"])
    assert everything(local) == before
    # The found switches are valid assumptions, with which the embedded AWS behaves like the account.
    assert local.control("PUT", "assumptions", results["switches"])["mediatailorRetires"] == "never"


def test_no_account_id_and_no_token_is_written(local: Embedded, start: Start, tmp_path: Path) -> None:
    """The points read no token. The values that two points write are hexadecimal, and no evidence has a secret value."""
    status, printed = finish(start("--yes", "--points", "cdn-authorization-delay,grant-form,live-source-account"))

    assert status == 0, printed
    written = files(tmp_path / "results")
    assert ACCOUNT not in written
    assert "assumed-role/Person" not in written
    calls = [call for point in points_in(tmp_path) for call in point["evidence"]]
    put = [call for call in calls if call["operation"] == "PutSecretValue"]
    assert [call["request"]["SecretString"] for call in put] == ["(omitted)"]
    assert not [
        call
        for call in local.control("GET", "calls")
        if call["operation"] == "GetSecretValue" and "/person" in call["principal"]
    ]


def test_nothing_is_created_without_a_yes(local: Embedded, start: Start, before: dict[str, list[Any]]) -> None:
    for answer in ("", "no\n"):
        status, printed = finish(start(), answer)

        assert status == 0
        assert ACCOUNT in printed
        assert "us-east-1" in printed
        assert "assumed-role/Person/person" in printed
        assert "USD" in printed
    assert everything(local) == before


def test_the_root_user_is_refused(local: Embedded, start: Start, before: dict[str, list[Any]]) -> None:
    root = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_SESSION_TOKEN": ""}

    status, printed = finish(start("--yes", **root))

    assert status == 2
    assert "root user" in printed
    assert everything(local) == before


def test_a_foreign_resource_with_the_prefix_is_refused_and_stays(local: Embedded, start: Start) -> None:
    name = f"{PREFIX}-of-somebody-else"
    mediatailor = local.client("mediatailor")
    mediatailor.create_source_location(SourceLocationName=name, HttpConfiguration={"BaseUrl": "https://origin.example"})

    status, printed = finish(start("--yes"))
    cleaned, _ = finish(start("--clean", "--yes"))

    assert (status, cleaned) == (2, 0)
    assert name in printed
    assert mediatailor.describe_source_location(SourceLocationName=name)
    mediatailor.delete_source_location(SourceLocationName=name)


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_removes_everything(
    local: Embedded, start: Start, before: dict[str, list[Any]], tmp_path: Path, name: signal.Signals
) -> None:
    process = start(*_WAITING, "--points", "update-retires,missing-status")
    until(lambda: everything(local)["locations"], "a source location")

    process.send_signal(name)
    status, printed = finish(process)

    assert status == 3, printed
    assert everything(local) == before
    points = points_in(tmp_path)
    assert [point["reason"] for point in points if not point["settled"]] == ["The run was interrupted."]


def test_what_a_killed_run_left_is_found_and_removed(local: Embedded, start: Start, before: dict[str, list[Any]]) -> None:
    process = start(*_WAITING, "--points", "update-retires,flow-update,cdn-authorization-delay")
    until(lambda: everything(local)["locations"] and everything(local)["flows"], "a source location and a flow")
    process.kill()
    process.communicate()

    refused, printed = finish(start("--yes"))
    asked, _ = finish(start("--clean"), "no\n")
    left = everything(local)
    cleaned, _ = finish(start("--clean"), "yes\n")

    assert (refused, asked, cleaned) == (2, 0, 0)
    assert "make live-check-clean" in printed
    assert left != before
    assert everything(local) == before


def test_a_missing_permission_unsettles_only_the_points_that_need_it(
    local: Embedded, person: Person, start: Start, before: dict[str, list[Any]], tmp_path: Path
) -> None:
    statements = json.loads(POLICY.read_text())["Statement"]
    statements.append({"Effect": "Deny", "Action": "mediaconnect:CreateFlow", "Resource": "*"})
    arn = role_that_anybody_assumes(local, "Lacking")
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    local.client("iam").put_role_policy(RoleName="Lacking", PolicyName="own", PolicyDocument=document)

    status, printed = finish(start("--yes", "--points", "flow-update,missing-status", **Person(local, arn).environment))

    assert status == 0, printed
    points = {point["point"]: point for point in points_in(tmp_path)}
    assert points["missing-status"]["settled"] is True
    assert points["flow-update"]["settled"] is False
    assert "CreateFlow" in points["flow-update"]["reason"]
    assert everything(local) == before


def test_a_service_that_fails_unsettles_only_its_points(local: Embedded, start: Start, tmp_path: Path) -> None:
    fault = {"service": "mediapackagev2", "operation": "CreateChannelGroup", "error": "ConflictException", "status": 409}
    local.control("POST", "faults", fault | {"times": 50})

    finish(start("--yes", "--points", "v2-source-account,missing-status"))

    points = points_in(tmp_path)
    assert {point["point"]: point["settled"] for point in points} == {"v2-source-account": False, "missing-status": True}


def test_a_resource_that_cannot_be_removed_is_reported(local: Embedded, start: Start, before: dict[str, list[Any]]) -> None:
    fault = {"service": "mediatailor", "operation": "DeleteSourceLocation", "error": "BadRequestException", "status": 400}
    local.control("POST", "faults", fault | {"times": 50})

    status, printed = finish(start("--yes", "--points", "grant-form"))
    local.control("DELETE", "faults")
    cleaned, _ = finish(start("--clean", "--yes"))

    assert (status, cleaned) == (1, 0)
    assert "grant-form" in printed
    assert everything(local) == before


def test_the_tag_names_the_run(local: Embedded, start: Start) -> None:
    process = start(*_WAITING, "--points", "update-retires")
    [name] = until(lambda: everything(local)["locations"], "a source location")

    tags = local.client("mediatailor").describe_source_location(SourceLocationName=name)["Tags"]
    process.send_signal(signal.SIGINT)
    finish(process)

    assert name.startswith(tags[TAG])
