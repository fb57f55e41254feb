"""The documented commands of docs/develop.md that need a container: the AWS CLI, and a breakpoint."""

import json
import os
import subprocess
from pathlib import Path

from local_aws.tools.embedded_aws import REPOSITORY
from local_aws.tools.sample_accesses import KEYS
from tests.contract.documented_commands import words
from tests.sam_local.conftest import BREAKPOINT, server_of
from tests.sam_local.debugging import HANDLER, Stopped
from tests.sam_local.invoking import Answer, Server


def test_aws_cli_invokes_a_function(answers: dict[str, Answer], servers: list[Server], tmp_path: Path) -> None:
    here = {"http://127.0.0.1:3001": server_of("list_grants", servers).url, "answer.json": str(tmp_path / "answer.json")}
    line = [here.get(word, word) for word in words("aws lambda invoke")]
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}

    subprocess.run(line, check=True, cwd=REPOSITORY, env=os.environ | credentials, capture_output=True, timeout=300)

    output = json.loads((tmp_path / "answer.json").read_text())
    assert {grant["keyArn"].rpartition("/")[2] for grant in output["grants"]} >= {KEYS["live-origin"]}


def test_breakpoint_is_reached(stopped: Stopped) -> None:
    assert (stopped.path, stopped.line, stopped.value) == (str(HANDLER), BREAKPOINT, "ListGrantsInput(keys=())")
    assert stopped.answer["unreadable"] == []
