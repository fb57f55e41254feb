"""The embedded AWS as a process of its own, with a client for it."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config

from local_aws.emulator.account import ACCOUNT, REGION

REPOSITORY = Path(__file__).parents[2]
STACK = "latchkey"


def until[T](probe: Callable[[], T], what: str, seconds: float = 60) -> T:
    """Polls `probe` and returns its first truthy value. Raises AssertionError after `seconds`."""
    deadline, pause = time.monotonic() + seconds, 0.01
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: timed out after {seconds} seconds")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    return found


class Embedded:
    """`with Embedded(deploy=True) as aws:` starts an account and, with `deploy`, deploys the built template to it.

    With `hurried`, state machines wait for a 200th of their time, and botocore does not retry, so that only the state
    machines do. `concurrency` limits how many functions run at once, as the Lambda quota of an account does.
    """

    def __init__(
        self,
        *,
        deploy: bool = False,
        hurried: bool = False,
        develop: bool = False,
        samples: bool = False,
        concurrency: int | None = None,
    ) -> None:
        self._deploy = deploy
        self._flags = [f"--{name}" for name, given in (("deploy", deploy), ("develop", develop), ("samples", samples)) if given]
        self._environment = os.environ | ({"SFN_WAIT_SCALE": "0.005", "AWS_MAX_ATTEMPTS": "1"} if hurried else {})
        if concurrency is not None:
            self._environment |= {"LAMBDA_ACCOUNT_CONCURRENCY": str(concurrency)}
        self.url = self.origin_url = ""
        self._clients: dict[tuple[object, ...], Any] = {}

    def __enter__(self) -> Self:
        self._log = tempfile.NamedTemporaryFile(prefix="local-aws-", suffix=".log")
        command = [sys.executable, "-m", "local_aws", "--port", "0", *self._flags]
        self._process = subprocess.Popen(
            command, cwd=REPOSITORY, env=self._environment, stdout=self._log, stderr=subprocess.STDOUT
        )
        try:
            until(self._has_started, "local AWS ready", 180 if self._deploy else 40)
        except BaseException:
            self.end()
            raise
        self.url = re.findall(r"export AWS_ENDPOINT_URL=(\S+)", self.log())[0]
        self.origin_url = self.control("GET", "health")["originUrl"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()
        self._log.close()

    def client(self, service: str, **kwargs: Any) -> Any:
        """Returns a client with the credentials of the root user. Clients are cached: loading a service model is slow."""
        options = {"config": _STANDARD_RETRIES} | kwargs
        key = (service, *sorted(options.items()))
        if key not in self._clients:
            self._clients[key] = _ROOT.client(service, endpoint_url=self.url, **options)
        return self._clients[key]

    def assume(self, role_arn: str) -> boto3.Session:
        """Returns a session of a role. Its clients need `endpoint_url=`."""
        answer = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="tests")
        return session(answer["Credentials"])

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Returns the response of /_local/`path`. Raises AssertionError for an error response."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_local/{path}", data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def log(self) -> str:
        """Returns the output of the process."""
        return Path(self._log.name).read_text(errors="replace")

    def _has_started(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"local AWS ended with {self._process.returncode}:\n{self.log()}")
        return "local AWS ready" in self.log()

    def children(self) -> list[int]:
        """Returns the process ids of the functions' workers."""
        listed = subprocess.run(["pgrep", "-P", str(self._process.pid)], check=False, capture_output=True, text=True)
        return [int(pid) for pid in listed.stdout.split()]

    def end(self, name: signal.Signals = signal.SIGTERM) -> int:
        """Stops the process with a signal and returns its exit status."""
        if self._process.poll() is None:
            self._process.send_signal(name)
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise


def root_credentials(account: str = ACCOUNT) -> dict[str, str]:
    """Returns the credentials of the root user of an account. Its number is the access key."""
    return {"AccessKeyId": "test" if account == ACCOUNT else account, "SecretAccessKey": "test"}


def session(credentials: Any = None, region: str = REGION) -> boto3.Session:
    """Returns a session with the given STS credentials. By default, it has those of the root user."""
    given = credentials or root_credentials()
    return boto3.Session(
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given.get("SessionToken"),
        region_name=region,
    )


_ROOT: Any = session()  # the overloads of client() are too many for mypy
_STANDARD_RETRIES = Config(retries={"mode": "standard"})
