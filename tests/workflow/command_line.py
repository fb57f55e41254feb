"""Runs `latchkey` against the embedded AWS, and keeps everything that it prints."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from latchkey_cli.connection import Connection, Options
from latchkey_cli.main import main
from local_aws.emulator.account import REGION
from local_aws.tools.embedded_aws import Embedded

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ran:
    """The exit code of a command, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class CommandLine:
    """Runs commands in this process, with the exports of `make local`."""

    capsys: pytest.CaptureFixture[str]
    environment: dict[str, str]
    printed: list[str] = field(default_factory=list)

    def __call__(self, *arguments: str, expect: int = 0) -> Ran:
        """Runs a command that must have this exit code."""
        status = main(arguments)
        captured = self.capsys.readouterr()
        self.printed += [captured.out, captured.err]
        assert status == expect, f"latchkey {' '.join(arguments)}: {status}\n{captured.out}\n{captured.err}"
        assert "Traceback" not in captured.out + captured.err
        return Ran(status, captured.out, captured.err)

    def resource(self, logical_id: str) -> str:
        """The physical ID of a resource of the stack."""
        return Connection(Options()).resource(logical_id)

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """Starts a command in a process of its own."""
        command = [sys.executable, "-m", "latchkey_cli", *arguments]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        # A shell that runs the tests in the background lets them, and what they start, ignore Ctrl-C.
        former = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(command, cwd=ROOT, env=self.environment, text=True, **streams)
        finally:
            signal.signal(signal.SIGINT, former)


def command_line(aws: Embedded, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    for name in [name for name in os.environ if name.startswith(("AWS_", "LATCHKEY_", "COLUMNS"))]:
        monkeypatch.delenv(name)
    exports = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
    for name, value in (exports | {"AWS_ENDPOINT_URL": aws.url, "AWS_CONFIG_FILE": os.devnull}).items():
        monkeypatch.setenv(name, value)
    path = os.pathsep.join(str(ROOT / folder) for folder in ("cli", "layers/latchkey", "."))
    return CommandLine(capsys, {**os.environ, "PYTHONPATH": path})
