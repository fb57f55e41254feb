"""sam against a deployed stack: the lines of docs/develop.md, typed for the environment `local`."""

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local_aws.embedded import REGION, Embedded
from tests.contract.artefacts import copy
from tests.contract.lines import words

HANDLER = "def lambda_handler(event, context):\n    return {'synchronized': True}\n"
type Type = Callable[..., str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what sam reads, so that it builds nothing into the build of other tests."""
    copy(tmp_path, "functions/list_grants", "events/functions", "statemachine", "samconfig.toml", "template.yaml")
    return tmp_path


@pytest.fixture
def type_line(aws: Embedded, project: Path) -> Type:
    """Types the line that begins so, and gives its output; the exports are those that `make local` prints."""
    exports = {"AWS_ENDPOINT_URL": aws.url, "AWS_DEFAULT_REGION": REGION}
    exports |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "SAM_CLI_TELEMETRY": "0"}

    def typed(start: str, answer: str = "") -> str:
        line = ["local" if word == "dev" else word for word in words(start)]
        line[0] = str(Path(sys.executable).parent / "sam")
        done = subprocess.run(
            line, check=False, cwd=project, env=os.environ | exports, input=answer, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return typed


def answered(type_line: Type) -> Any:
    return json.loads(type_line("sam remote invoke").splitlines()[-1])


def test_a_deployed_function_is_invoked_and_its_log_is_read(type_line: Type) -> None:
    assert answered(type_line) == {"grants": [], "unreadable": []}
    assert "REPORT RequestId: " in type_line("sam logs")


@pytest.fixture
def deployed_again(aws: Embedded, project: Path) -> Iterator[None]:
    """Other tests find the function as it was."""
    listed = aws.client("cloudformation").describe_stack_resource(StackName="latchkey", LogicalResourceId="ListGrantsFunction")
    name, packed = listed["StackResourceDetail"]["PhysicalResourceId"], io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(project / "functions/list_grants/app.py", "app.py")
    yield
    aws.client("lambda").update_function_code(FunctionName=name, ZipFile=packed.getvalue())


def test_the_code_of_one_function_is_synchronized(project: Path, deployed_again: None, type_line: Type) -> None:
    (project / "functions/list_grants/app.py").write_text(HANDLER)

    type_line("sam sync --config-env dev --code", answer="y\n")

    assert answered(type_line) == {"synchronized": True}
