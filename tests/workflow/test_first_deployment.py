"""A first deployment that fails is rolled back, and the commands in docs/operate.md lead to one that succeeds."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT, ROOT_CREDENTIALS
from local_aws.tools.embedded_aws import REPOSITORY, STACK, Embedded, until
from tests.contract.commands import shell_blocks, statements
from tests.contract.documents import CURRENT

_BUCKET = "latchkey-local-artifacts"
_ABSENT = f"arn:aws:iam::{ACCOUNT}:policy/absent"
pytestmark = pytest.mark.long


@pytest.fixture
def empty() -> Iterator[Embedded]:
    """An account without the stack."""
    with Embedded() as aws:
        aws.client("s3").create_bucket(Bucket=_BUCKET)
        yield aws


def _run(aws: Embedded, *command: str) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).parent / command[0])
    settings = {"AWS_ENDPOINT_URL": aws.url, "SAM_CLI_TELEMETRY": "0", "SAM_CLI_POLL_DELAY": "1"}
    environment = os.environ | ROOT_CREDENTIALS | settings
    return subprocess.run(
        [program, *command[1:]], check=False, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=240
    )


def _deploy(aws: Embedded, **parameters: str) -> subprocess.CompletedProcess[str]:
    """Deploys the built template as `make deploy` does, with data protected."""
    chosen = {"Architecture": "x86_64", "ProtectData": "true"} | parameters
    paths = ("--template-file", ".aws-sam/build/template.yaml", "--config-file", str(REPOSITORY / "samconfig.toml"))
    overrides = [f"{name}={value}" for name, value in chosen.items()]
    return _run(aws, "sam", "deploy", *paths, "--config-env", "local", "--parameter-overrides", *overrides)


def _status(aws: Embedded) -> str | None:
    listed = aws.client("cloudformation").list_stacks()["StackSummaries"]
    found = [one["StackStatus"] for one in listed if one["StackName"] == STACK and one["StackStatus"] != "DELETE_COMPLETE"]
    return found[0] if found else None


def _documented(beginning: str) -> Iterator[list[str]]:
    """The commands of the block in docs/operate.md that begins so."""
    [operate] = [document for document in CURRENT if str(document).endswith("operate.md")]
    [block] = [text for _, text in shell_blocks(operate) if text.lstrip().startswith(beginning)]
    yield from statements(block)


def _left(aws: Embedded) -> dict[str, Any]:
    """What the stack can leave: everything with a name or content of its own."""
    return {
        "tables": aws.client("dynamodb").list_tables()["TableNames"],
        "buckets": [bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"] if bucket["Name"] != _BUCKET],
        "functions": aws.client("lambda").list_functions()["Functions"],
        "buses": [bus["Name"] for bus in aws.client("events").list_event_buses()["EventBuses"] if bus["Name"] != "default"],
        "policies": aws.client("iam").list_policies(Scope="Local")["Policies"],
        "logs": aws.client("logs").describe_log_groups()["logGroups"],
    }


def test_a_failed_first_deployment_is_rolled_back_and_the_next_one_succeeds(empty: Embedded) -> None:
    failed = _deploy(empty, RolePermissionsBoundary=_ABSENT)

    assert failed.returncode != 0
    assert _status(empty) == "ROLLBACK_COMPLETE", failed.stdout
    left = _left(empty)
    tables = left.pop("tables")
    assert not any(left.values()), json.dumps(left, default=str)
    described = [empty.client("dynamodb").describe_table(TableName=table)["Table"] for table in tables]
    assert [(one["DeletionProtectionEnabled"], one["ItemCount"]) for one in described] == [(True, 0), (True, 0)]

    for command in _documented("aws cloudformation delete-stack"):
        for table in tables if "TABLE-NAME" in command else [""]:
            words = [STACK if word == "STACK" else table if word == "TABLE-NAME" else word for word in command]
            done = _run(empty, *words)
            assert done.returncode == 0, done.stderr

    assert _left(empty)["tables"] == []
    until(lambda: _status(empty) is None, "the end of the stack")
    assert _deploy(empty).returncode == 0
    assert _status(empty) == "CREATE_COMPLETE"
