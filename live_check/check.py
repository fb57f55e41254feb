"""What a point works with: clients that record evidence, the resources of the stack, names, and waits."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from live_check import evidence
from live_check.answers import UnsettledError
from live_check.names import Run
from live_check.patience import CONSISTENCY, Patience

# MediaTailor allows one write per second, https://docs.aws.amazon.com/mediatailor/latest/ug/quotas.html
_CONFIG = Config(retries={"mode": "adaptive", "max_attempts": 10}, connect_timeout=10, read_timeout=60)


class Clients:
    """Clients of one session, created once. boto3 sessions are not thread-safe, so a lock guards them."""

    def __init__(self, session: boto3.Session) -> None:
        self._session: Any = session
        self._lock = threading.Lock()
        self._made: dict[str, Any] = {}

    def get(self, service: str) -> Any:
        with self._lock:
            if service not in self._made:
                self._made[service] = evidence.observe(self._session.client(service, config=_CONFIG))
            return self._made[service]

    def has(self, service: str) -> bool:
        """Returns whether the SDK knows the service in the Region of the session."""
        region = self._session.region_name
        with self._lock:
            partition = self._session.get_partition_for_region(region)
            return region in self._session.get_available_regions(service, partition_name=partition)


@dataclass(frozen=True)
class Stage:
    """What all points of a run share. `outputs` are the outputs of the stack, `origin` is the base URL of source locations."""

    run: Run
    clients: Clients
    outputs: Mapping[str, str]
    origin: str


@dataclass(frozen=True)
class Check:
    """The view that one point has of the stage."""

    stage: Stage
    point: str
    patience: Patience

    @property
    def run(self) -> Run:
        return self.stage.run

    def name(self, suffix: str = "") -> str:
        return "-".join(filter(None, (self.run.prefix, self.point, suffix)))

    def client(self, service: str) -> Any:
        return self.stage.clients.get(service)

    def output(self, name: str) -> str:
        return self.stage.outputs[name]

    def client_as(self, role: str, service: str) -> Any:
        """Returns a client with a session of a role of the stack, which can take seconds to become assumable."""
        arn = self.output(f"{role}Arn")
        assume = self.client("sts").assume_role
        answer = self.eventually(lambda: assume(RoleArn=arn, RoleSessionName=self.point[:64]))["Credentials"]
        session = boto3.Session(
            aws_access_key_id=answer["AccessKeyId"],
            aws_secret_access_key=answer["SecretAccessKey"],
            aws_session_token=answer["SessionToken"],
            region_name=self.run.region,
        )
        return Clients(session).get(service)

    def until[T](self, probe: Callable[[], T], documented: float) -> T | None:
        return self.patience.until(probe, documented)

    def appears[T](self, probe: Callable[[], T], documented: float, what: str) -> T:
        """Returns the first truthy value of `probe`. Raises UnsettledError if there is none in the documented time."""
        found = self.until(probe, documented)
        if not found:
            raise UnsettledError(f"{what} did not appear within {documented / 60:g} minutes.")
        return found

    def eventually(self, call: Callable[[], Any], documented: float = CONSISTENCY) -> Any:
        """Repeats a call that fails until its permissions, policies and tags are effective. Raises its last ClientError."""
        failures: list[ClientError] = []

        def attempt() -> Any:
            try:
                return {"answer": call()}
            except ClientError as error:
                if status_of(error) >= 500 or code_of(error) == "ValidationError":
                    raise
                failures.append(error)
                return None

        answered = self.until(attempt, documented)
        if answered is None:
            raise failures[-1]
        return answered["answer"]


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def outcome(call: Callable[[], Any]) -> ClientError | None:
    """Makes a call that may fail. Returns the error, or None if the call succeeded."""
    try:
        call()
    except ClientError as error:
        return error
    return None


def described(error: ClientError | None) -> str:
    return "succeeded" if error is None else f"failed with {status_of(error)} {code_of(error)}"
