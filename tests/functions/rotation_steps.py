"""The steps of a rotation in the order of the state machine, its rollback, and the labels of its secret."""

import json
from typing import Any

from latchkey.access.desired import desire
from latchkey.registry import registry
from latchkey.requests.parsing import parse_onboarding
from latchkey.settings import settings
from latchkey.tags import DEFAULT_TENANT
from tests.functions.account import Account
from tests.functions.onboarding_requests import EXECUTION, Run
from tests.functions.onboarding_steps import Onboarding

ROTATION = EXECUTION.replace("onboard-access", "rotate-token")


class Rotation:
    """An access in service, and the steps of one request for a new token."""

    def __init__(self, run: Run, account: Account, system: str = "mediatailor", **members: Any) -> None:
        self.run, self.account = run, account
        if system != "mediatailor":
            account.add_resources()
        onboarded = Onboarding(run, account, system=system, **members).run_through("record_access")
        self.secret, self.recorded = onboarded.secret, onboarded.request
        self.access_id = parse_onboarding(self.recorded).access_id
        self.begin()

    def begin(self, kind: str = "Rotation Requested", number: int | str = 1, **asked: Any) -> "Rotation":
        """Makes the following steps those of another request."""
        self.request_id, self.execution = f"{kind.split()[1]}-{number}", f"{ROTATION}-{kind.split()[1]}-{number}"
        sent = {"requestId": self.request_id, "accessId": self.access_id, **asked}
        self.event = {
            "requestId": self.request_id,
            "contentHash": self.request_id.ljust(64, "-"),
            "executionArn": self.execution,
            "eventId": f"event-{self.request_id}",
            "system": self.recorded["system"],
            "accessId": self.access_id,
            "request": self.recorded | {"requestId": self.request_id} | _how(asked),
            "kind": kind,
            "asked": sent,
        }
        return self

    def check(self) -> dict[str, Any]:
        self.plan = self.run("check_rotation", self.event)
        return self.plan

    def stage(self, *, again: bool = False) -> dict[str, Any]:
        names = ("secretArn", "version", "former", "value", "shortest", "longest")
        pending = {name: self.plan[name] for name in names}
        if again:
            pending |= {
                "version": self.plan["second"], "former": self.plan["version"], "repeats": self.plan["version"],
            }  # fmt: skip
        return self.run("create_secret", self._step | {"pending": pending})

    def promote(self, *, again: bool = False) -> dict[str, Any]:
        return self.run("promote_token", self._step | {"plan": self.plan, "again": again})

    def apply(self) -> dict[str, Any]:
        return self.run("apply_token", self._step | {"plan": self.plan})

    def record(self, reached: str) -> dict[str, Any]:
        return self.run("record_rotation", self._step | {"plan": self.plan, "reached": reached})

    def withdraw(self) -> dict[str, Any]:
        return self.run("withdraw_token", self._step | {"plan": self.plan})

    def undo(self) -> dict[str, Any]:
        return self.run("undo_onboarding", self._step)

    def end(self) -> None:
        """Settles the journal and unlocks the access as report_outcome does."""
        registry().journal.of(self.execution, self.access_id, "default").settle()
        registry().locks.unlock(self.access_id, self.execution)

    @property
    def secret_resource(self) -> str:
        """The name of the secret in the registry."""
        return desire(parse_onboarding(self.recorded), settings(), DEFAULT_TENANT).secret_resource

    @property
    def labels(self) -> dict[str, str]:
        stages = self.account.secretsmanager.describe_secret(SecretId=self.secret)["VersionIdsToStages"]
        return {label: version for version, labels in stages.items() for label in labels}

    def value(self, label: str = "AWSCURRENT") -> Any:
        found = self.account.secretsmanager.get_secret_value(SecretId=self.secret, VersionStage=label)
        return json.loads(found["SecretString"])

    def text(self) -> str:
        """The current value, in whatever format its system has."""
        value: str = self.account.secretsmanager.get_secret_value(SecretId=self.secret, VersionStage="AWSCURRENT")[
            "SecretString"
        ]
        return value

    @property
    def _step(self) -> dict[str, Any]:
        return {"request": self.event["request"], "tenant": "default", "executionArn": self.execution}


def _how(asked: dict[str, Any]) -> dict[str, Any]:
    """The members of the recorded request that the request about the access sets."""
    return {name: value for name, value in asked.items() if name in ("mode", "planHash")}
