"""sam with a deployed stack: the commands of docs/develop.md in the environment `local`."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local_aws.emulator.account import REGION
from local_aws.tools import sam_local
from local_aws.tools.embedded_aws import REPOSITORY, Embedded, until
from tests.contract.artifacts import copy
from tests.contract.documented_commands import words

HANDLER = "def lambda_handler(event, context):\n    return {'synchronized': True}\n"
type Type = Callable[..., str]


@pytest.fixture
def project(aws: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files that sam reads, so that its builds do not change the build of other tests."""
    copy(tmp_path, "functions", "layers", "events/functions", "statemachine")
    copy(tmp_path, "samconfig.toml", "template.yaml", "observability.yaml")
    for name, value in exports(aws).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sam_local, "SAM_FILES", tmp_path / sam_local.SAM_FILES.relative_to(REPOSITORY))
    sam_local.write_files(aws.url, "latchkey")
    return tmp_path


def exports(aws: Embedded) -> dict[str, str]:
    """Returns the variables that `make local` prints, and disables telemetry."""
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    return credentials | {"AWS_ENDPOINT_URL": aws.url, "AWS_DEFAULT_REGION": REGION, "SAM_CLI_TELEMETRY": "0"}


def line(start: str) -> list[str]:
    """Returns the documented command that starts so, for the environment `local`."""
    sam, *rest = ["local" if word == "dev" else word for word in words(start)]
    return [str(Path(sys.executable).parent / sam), *rest]


@pytest.fixture
def type_line(project: Path) -> Type:
    """Runs the documented command that starts so and returns its output."""

    def typed(start: str, answer: str = "") -> str:
        done = subprocess.run(line(start), check=False, cwd=project, input=answer, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return typed


def answered(type_line: Type) -> Any:
    return json.loads(type_line("sam remote invoke").splitlines()[-1])


def test_sam_invokes_a_deployed_function_and_reads_its_log(type_line: Type) -> None:
    assert answered(type_line) == {"grants": [], "counts": {}, "unreadable": []}
    assert "REPORT RequestId: " in type_line("sam logs")


@pytest.fixture
def deployed_again(aws: Embedded, project: Path) -> Iterator[None]:
    """Restores the code of the function after the test."""
    listed = aws.client("cloudformation").describe_stack_resource(StackName="latchkey", LogicalResourceId="ListGrantsFunction")
    name, packed = listed["StackResourceDetail"]["PhysicalResourceId"], io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(project / "functions/list_grants/app.py", "app.py")
    yield
    aws.client("lambda").update_function_code(FunctionName=name, ZipFile=packed.getvalue())


def test_sam_sync_replaces_the_code_of_one_function(project: Path, deployed_again: None, type_line: Type) -> None:
    (project / "functions/list_grants/app.py").write_text(HANDLER)

    type_line("sam sync --config-env dev --code", answer="y\n")

    assert answered(type_line) == {"synchronized": True}


class TestWatching:
    """In a separate account, because sam deploys the stack again."""

    @pytest.fixture
    def aws(self) -> Iterator[Embedded]:
        with Embedded(deploy=True) as aws:
            yield aws

    @pytest.fixture
    def log(self, project: Path) -> Iterator[Path]:
        """The output of `sam sync --watch` after a change to the template."""
        template, log = project / "template.yaml", project / "sync.log"
        template.write_text(template.read_text().replace("MemorySize: 512", "MemorySize: 640"))
        with log.open("w") as file:
            process = subprocess.Popen(
                line("sam sync --config-env dev --watch"),
                cwd=project,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        assert process.stdin
        process.stdin.write(b"y\n")
        process.stdin.flush()
        yield log
        process.send_signal(signal.SIGINT)
        # sam first finishes a running synchronization, which can take minutes on a busy machine.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)

    def test_sam_sync_watch_deploys_changes(self, aws: Embedded, project: Path, log: Path, type_line: Type) -> None:
        until(lambda: "Infra sync completed" in log.read_text(), "the deployment", 180)
        pages = aws.client("lambda").get_paginator("list_functions").paginate()
        sizes = {function["MemorySize"] for page in pages for function in page["Functions"]}
        assert 640 in sizes
        assert 512 not in sizes  # some functions set their own size
        assert answered(type_line) == {"grants": [], "counts": {}, "unreadable": []}

        def followed() -> bool:
            (project / "functions/list_grants/app.py").write_text(HANDLER)  # sam starts watching shortly after it says so
            return bool(answered(type_line) == {"synchronized": True})

        until(followed, "the change")
