"""`make deploy` checks what it needs, builds in a folder of its own, and deploys with the parameters of the build."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest

from latchkey_cli.trails import Trails, trails_of
from latchkey_cli.trails import main as report_trails
from tests.contract.artifacts import copy

ACCOUNT = "<Account>111122223333</Account><Arn>arn:aws:iam::111122223333:role/Deployer</Arn><UserId>AROA</UserId>"
RESULT = f"<GetCallerIdentityResult>{ACCOUNT}</GetCallerIdentityResult>"
IDENTITY = f"<GetCallerIdentityResponse>{RESULT}</GetCallerIdentityResponse>"
REFUSED = "<ErrorResponse><Error><Code>{}</Code><Message>no</Message></Error></ErrorResponse>"
MEMBERS = "<StackName>latchkey-dev</StackName><StackStatus>{}</StackStatus><CreationTime>2026-11-27T00:00:00Z</CreationTime>"
STACKS = f"<DescribeStacksResult><Stacks><member>{MEMBERS}</member></Stacks></DescribeStacksResult>"
STACK = f"<DescribeStacksResponse>{STACKS}</DescribeStacksResponse>"


WRITES = {"Field": "readOnly", "Equals": ["false"]}
MANAGEMENT = {"Field": "eventCategory", "Equals": ["Management"]}


class Account(HTTPServer):
    """Answers GetCallerIdentity and DescribeStacks with an identity and the status of the stack, or with an error.

    `trails` are the event selectors of each trail, or None for a trail whose selectors cannot be read.
    """

    identity, status = IDENTITY, ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.trails: dict[str, dict[str, Any] | None] = {}
        self.stopped: set[str] = set()

    def cloudtrail(self, operation: str, asked: dict[str, Any]) -> dict[str, Any] | None:
        """The response of an operation of CloudTrail, or None if it is denied."""
        if operation == "DescribeTrails":
            assert asked["includeShadowTrails"] is True
            return {"trailList": [{"Name": name, "TrailARN": f"arn:{name}"} for name in self.trails]}
        name = (asked.get("TrailName") or asked["Name"]).removeprefix("arn:")
        return {"IsLogging": name not in self.stopped} if operation == "GetTrailStatus" else self.trails[name]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: Account

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if target := self.headers["x-amz-target"]:
            found = self.server.cloudtrail(target.rsplit(".", 1)[1], json.loads(body))
            answer = json.dumps(found or {"__type": "AccessDeniedException", "message": "no"})
            self.send_response(200 if found is not None else 400)
            self.end_headers()
            self.wfile.write(answer.encode())
            return
        if b"GetCallerIdentity" in body:
            answer = self.server.identity
        else:
            answer = STACK.format(self.server.status) if self.server.status else REFUSED.format("ValidationError")
        self.send_response(400 if "<Error>" in answer else 200)
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


@pytest.fixture
def account() -> Iterator[Account]:
    server = Account()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def deploy(folder: Path, account: Account, *arguments: str, region: str = "eu-west-1") -> "subprocess.CompletedProcess[str]":
    """Runs `make deploy` in a copy of the project with a `sam` that only prints its arguments."""
    if not (folder / "Makefile").exists():
        copy(folder, "Makefile", "samconfig.toml", "requirements-dev.txt", "template.yaml", "tools", "cli")
    for name in ("functions", "layers", "statemachine", ".venv/bin"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / ".venv/ready").touch()
    for name, text in (("sam", 'echo "called: sam $*"'), ("python", f'exec "{sys.executable}" "$@"')):
        (folder / f".venv/bin/{name}").write_text(f"#!/bin/sh\n{text}\n")
        (folder / f".venv/bin/{name}").chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AWS_ENDPOINT_URL": account.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_DEFAULT_REGION": region,
    }
    command = ["make", "--no-print-directory", "deploy", *arguments]
    return subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def calls(result: "subprocess.CompletedProcess[str]") -> list[list[str]]:
    return [line.split()[2:] for line in result.stdout.splitlines() if line.startswith("called: sam ")]


def overrides(call: list[str]) -> list[str]:
    return call[call.index("--parameter-overrides") + 1 :]


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_make_deploy_builds_and_deploys_an_environment_in_its_own_folder(
    tmp_path: Path, account: Account, environment: str
) -> None:
    result = deploy(tmp_path, account, f"ENV={environment}")

    assert result.returncode == 0, result.stderr
    build, deployment = calls(result)
    assert (build[0], deployment[0]) == ("build", "deploy")
    assert all(f"--config-env {environment}" in " ".join(call) for call in (build, deployment))
    folder = f".aws-sam/deploy/{environment}"
    assert build[build.index("--build-dir") + 1] == f"{folder}/build"
    assert build[build.index("--cache-dir") + 1] == f"{folder}/cache"
    assert deployment[deployment.index("--template-file") + 1] == f"{folder}/build/template.yaml"
    assert "eu-west-1" in result.stdout
    assert "111122223333" in result.stdout


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_the_architecture_is_that_of_the_build_and_of_the_deployment(
    tmp_path: Path, account: Account, architecture: str
) -> None:
    build, deployment = calls(deploy(tmp_path, account, "ENV=dev", f"ARCHITECTURE={architecture}"))

    assert overrides(build) == overrides(deployment)
    assert f"Architecture={architecture}" in overrides(build)
    assert "ProtectData=false" in overrides(build), "the parameters of samconfig.toml are kept"


# `local` is rejected since it trusts every role of the account, and since its bucket can belong to someone else in AWS.
@pytest.mark.parametrize("environment", ["local", "porduction", "de"])
def test_make_deploy_rejects_any_other_environment(tmp_path: Path, account: Account, environment: str) -> None:
    result = deploy(tmp_path, account, f"ENV={environment}")

    assert result.returncode != 0
    assert calls(result) == []
    assert f"ENV={environment} " in result.stderr


def test_make_deploy_builds_nothing_without_a_region(tmp_path: Path, account: Account) -> None:
    result = deploy(tmp_path, account, "ENV=dev", region="")

    assert result.returncode != 0
    assert calls(result) == []
    assert "AWS_DEFAULT_REGION" in result.stderr


def test_make_deploy_builds_nothing_without_valid_credentials(tmp_path: Path, account: Account) -> None:
    account.identity = REFUSED.format("InvalidClientTokenId")

    result = deploy(tmp_path, account, "ENV=dev")

    assert result.returncode != 0
    assert calls(result) == []
    assert "InvalidClientTokenId" in result.stderr


@pytest.mark.parametrize(
    ("status", "is_deployed"),
    [
        ("UPDATE_COMPLETE", True),
        # Somebody declined the change set of the first deployment. The next one replaces it.
        ("REVIEW_IN_PROGRESS", True),
        ("UPDATE_IN_PROGRESS", False),
        ("UPDATE_ROLLBACK_FAILED", False),
        ("ROLLBACK_COMPLETE", False),
        ("DELETE_IN_PROGRESS", False),
    ],
)
def test_make_deploy_builds_nothing_for_a_stack_that_cannot_be_updated(
    tmp_path: Path, account: Account, status: str, is_deployed: bool
) -> None:
    account.status = status

    result = deploy(tmp_path, account, "ENV=dev")

    assert (result.returncode == 0, bool(calls(result))) == (is_deployed, is_deployed)
    assert is_deployed or status in result.stderr


@pytest.mark.parametrize(
    ("former", "flawed", "named"),
    [
        ("LogRetentionDays=7", "LogRetentionDays=8", "LogRetentionDays=8"),
        ("LogRetentionDays=7", "GraceSeconds=0", "GraceSeconds=0"),
        ("LogRetentionDays=7", "GraceSeconds=soon", "GraceSeconds=soon"),
        ("LogRetentionDays=7", "LogRetention=7", "LogRetention is no parameter"),
        ("ProtectData=false", "ProtectData=no", "ProtectData=no"),
        ("ProtectData=false", f"AllowedOriginHosts={'a' * 581}", "580"),
    ],
)
def test_make_deploy_builds_nothing_with_parameters_that_the_template_rejects(
    tmp_path: Path, account: Account, former: str, flawed: str, named: str
) -> None:
    copy(tmp_path, "Makefile", "samconfig.toml", "requirements-dev.txt", "template.yaml", "tools", "cli")
    config = tmp_path / "samconfig.toml"
    config.write_text(config.read_text().replace(f'"{former}"', f'"{flawed}"'))

    result = deploy(tmp_path, account, "ENV=dev")

    assert result.returncode != 0
    assert calls(result) == []
    assert named in result.stderr


def test_parameters_can_be_one_text_as_the_sam_cli_reads_it(tmp_path: Path, account: Account) -> None:
    copy(tmp_path, "Makefile", "samconfig.toml", "requirements-dev.txt", "template.yaml", "tools", "cli")
    config = tmp_path / "samconfig.toml"
    text = '\'ProtectData=false AlarmTopicArn="" LogRetentionDays="14"\''
    config.write_text(config.read_text().replace('["ProtectData=false", "LogRetentionDays=7"]', text))

    result = deploy(tmp_path, account, "ENV=dev")

    assert result.returncode == 0, result.stderr
    assert overrides(calls(result)[1]) == ["ProtectData=false", 'AlarmTopicArn=""', "LogRetentionDays=14"]


def test_make_deploy_names_a_parameter_without_a_value(tmp_path: Path, account: Account) -> None:
    copy(tmp_path, "Makefile", "samconfig.toml", "requirements-dev.txt", "template.yaml", "tools", "cli")
    config = tmp_path / "samconfig.toml"
    config.write_text(config.read_text().replace('"LogRetentionDays=7"', '"LogRetentionDays"'))

    result = deploy(tmp_path, account, "ENV=dev")

    assert (result.returncode != 0, calls(result)) == (True, [])
    assert "LogRetentionDays" in result.stderr
    assert "Traceback" not in result.stderr


def test_make_deploy_rejects_an_unknown_architecture(tmp_path: Path, account: Account) -> None:
    result = deploy(tmp_path, account, "ENV=dev", "ARCHITECTURE=riscv")

    assert result.returncode != 0
    assert "Architecture=riscv" in result.stderr


def trails(account: Account) -> Trails:
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="eu-west-1")
    return trails_of(session.client("cloudtrail", endpoint_url=account.url))


def basic(**members: Any) -> dict[str, Any]:
    return {"EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": True} | members]}


def advanced(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"AdvancedEventSelectors": [{"Name": "any", "FieldSelectors": [*fields]}]}


@pytest.mark.parametrize(
    ("selectors", "is_complete"),
    [
        (basic(), True),
        (basic(ReadWriteType="WriteOnly"), True),
        (basic(ReadWriteType="ReadOnly"), False),
        (basic(IncludeManagementEvents=False), False),
        (basic(ExcludeManagementEventSources=["kms.amazonaws.com"]), False),
        (basic(ExcludeManagementEventSources=["rdsdata.amazonaws.com"]), True),
        (advanced(MANAGEMENT), True),
        (advanced(MANAGEMENT, WRITES), True),
        (advanced(MANAGEMENT, WRITES | {"Equals": ["true"]}), False),
        (advanced(MANAGEMENT, {"Field": "eventSource", "NotEquals": ["kms.amazonaws.com"]}), False),
        (advanced(MANAGEMENT | {"Equals": ["Data"]}), False),
        ({"EventSelectors": []}, False),
    ],
)
def test_a_trail_is_complete_if_it_logs_every_call_that_starts_a_cleanup(
    account: Account, selectors: dict[str, Any], is_complete: bool
) -> None:
    account.trails = {"reads": basic(ReadWriteType="ReadOnly"), "audit": selectors}

    found = trails(account)

    assert found == Trails(complete=("audit",) if is_complete else (), unreadable=())
    assert found.report("eu-west-1").startswith("Warning: ") is not is_complete


def test_a_trail_that_is_stopped_does_not_count(account: Account) -> None:
    account.trails, account.stopped = {"audit": basic()}, {"audit"}

    assert trails(account) == Trails((), ())


def test_make_deploy_warns_of_trails_and_deploys(tmp_path: Path, account: Account) -> None:
    account.trails = {"organization": None}

    result = deploy(tmp_path, account, "ENV=dev")

    assert (result.returncode, len(calls(result))) == (0, 2), result.stderr
    assert "because organization cannot be read" in result.stdout


@pytest.mark.parametrize(("selectors", "status"), [(basic(), 0), (basic(ReadWriteType="ReadOnly"), 1)])
def test_the_trails_of_an_account_can_be_checked_before_its_first_deployment(
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    selectors: dict[str, Any],
    status: int,
) -> None:
    account.trails = {"audit": selectors}
    for name, value in {"AWS_ENDPOINT_URL": account.url, "AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")

    with pytest.raises(SystemExit) as ended:
        report_trails()

    assert ended.value.code == status
    assert capsys.readouterr().out.startswith("Warning: ") is bool(status)


def test_trails_are_checked_in_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")

    with pytest.raises(SystemExit, match="Region"):
        report_trails()
