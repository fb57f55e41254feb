"""An account in which owners, people and functions act by API calls."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from latchkey.errors import InvalidRequest, LatchkeyError
from latchkey.registry import Registry
from latchkey.registry.table import Table
from latchkey.tags import DEFAULT_TENANT
from local_aws.emulator.account import ACCOUNT
from local_aws.emulator.api_calls import Call
from tests.functions.account import TABLE
from tests.functions.lambda_runtime import Context, handler
from tests.model.in_process_aws import Crash, InProcessAws, Run, stored_grants
from tests.model.oracle import PREFIX, Oracle

# Its owner lets Latchkey configure each source location.
CONSENT_TAG = {"latchkey:consent": "adopt"}
GRACE = 2
BEGINNING = 1_800_000_000
LOCATIONS = ("a", "a-b")
# A placeholder for the location whose clean-up is disturbed.
IT = "it"
SECRETS = {"s0": "k0", "s1": "k0", "s2": "k1"}
# Secret and location of each pair exist as long as the account, so Latchkey always manages their keys.
ANCHORS = {"anchor-0": "s0"}
NO_TOKEN = "no token"
_KEY = "MyAccessTokenIdentifier"


@dataclass(frozen=True)
class Act:
    """An action: the name of a method of World and its arguments."""

    verb: str
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Between:
    """An action before (or after) the n-th call of an invocation, or its first call of an operation."""

    call: int | str
    act: Act
    after: bool = False


@dataclass(frozen=True)
class Looked:
    """The result of a first survey. `ticket` identifies the execution, `secret` is the secret that the location read."""

    access_id: str
    first: dict[str, Any]
    ticket: str
    secret: str = "s0"


class World:
    def __init__(self, aws: InProcessAws, **assumptions: Any) -> None:
        self.aws = aws
        aws.reset(clockSeconds=BEGINNING, sourcesFirst=False, **assumptions)
        self._same_id = assumptions.get("recreatedGrant") == "same-id"
        self.oracle = Oracle(aws)
        self.kms, self.secrets, self.mediatailor = (aws.client(name) for name in ("kms", "secretsmanager", "mediatailor"))
        self._number = 0
        self._sweeps = 0
        _create_table(aws.client("dynamodb"))
        self._registry = Registry(Table(aws.client("dynamodb"), TABLE))
        self.keys = {name: str(self.kms.create_key()["KeyMetadata"]["Arn"]) for name in ("k0", "k1")}
        self.arns = {name: self._secret(name, self.keys[key]) for name, key in SECRETS.items()}
        for name in SECRETS:
            self.admit(name)
        for name, secret in ANCHORS.items():
            self.onboard(name, secret)

    def perform(self, act: Act) -> None:
        getattr(self, act.verb)(*act.args)

    # Actions of owners and people. A call that fails, or whose resource does not exist, changes nothing.

    def create(self, name: str, secret: str, lag: float = 0) -> None:
        """MediaTailor creates the grant first. `lag` is how long the location stays invisible after that.

        A location that reuses the grant of a former location with its name is visible at once: the two cannot be
        distinguished.
        """
        named = [grant for grant in stored_grants() if grant["Name"] == PREFIX + name]
        lag = 0 if named and self._same_id else lag
        self.aws.control.answer("PUT", "/_local/assumptions", json.dumps({"locationLagSeconds": lag}).encode())
        with suppress(ClientError):
            self.mediatailor.create_source_location(**self._settings(name, secret), Tags=CONSENT_TAG)
        self.aws.control.answer("PUT", "/_local/assumptions", b'{"locationLagSeconds": 0}')

    def update(self, name: str, secret: str) -> None:
        with suppress(ClientError):
            self.mediatailor.update_source_location(**self._settings(name, secret))

    def delete(self, name: str) -> None:
        with suppress(ClientError):
            self.mediatailor.delete_source_location(SourceLocationName=name)

    def recreate(self, name: str, secret: str) -> None:
        self.delete(name)
        self.create(name, secret)

    def admit(self, secret: str) -> None:
        statement = {"Effect": "Allow", "Principal": {"Service": "mediatailor.amazonaws.com"}, "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [statement | {"Action": "secretsmanager:GetSecretValue"}]}
        with suppress(ClientError):
            self.secrets.put_resource_policy(SecretId=self.arns[secret], ResourcePolicy=json.dumps(policy))

    def refuse(self, secret: str) -> None:
        with suppress(ClientError):
            self.secrets.delete_resource_policy(SecretId=self.arns[secret])

    def schedule(self, secret: str) -> None:
        with suppress(ClientError):
            self.secrets.delete_secret(SecretId=self.arns[secret], RecoveryWindowInDays=7)

    def restore(self, secret: str) -> None:
        with suppress(ClientError):
            self.secrets.restore_secret(SecretId=self.arns[secret])

    def restore_and_allow(self, secret: str) -> None:
        self.restore(secret)
        self.admit(secret)

    def move(self, secret: str, key: str) -> None:
        with suppress(ClientError):
            self.secrets.update_secret(SecretId=self.arns[secret], KmsKeyId=self.keys[key])

    def imitate(self, name: str, secret: str, key: str) -> None:
        """A person creates a grant that differs from the service's grant only in its grantee."""
        constraints = {"EncryptionContextSubset": {"SecretARN": self.arns[secret]}}
        self.kms.create_grant(
            KeyId=self.keys[key],
            GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:role/Person",
            Name=PREFIX + name,
            Operations=["Decrypt"],
            Constraints=constraints,
        )

    def remove(self, key: str) -> None:
        """An undo deletes a key that only its request used."""
        self.kms.schedule_key_deletion(KeyId=self.keys[key], PendingWindowInDays=7)
        self._registry.resources.forget(self.keys[key])

    def keep(self, key: str) -> None:
        """A person cancels the deletion, which leaves the key disabled, and enables it."""
        self.kms.cancel_key_deletion(KeyId=self.keys[key])
        self.kms.enable_key(KeyId=self.keys[key])

    def wait(self, seconds: int) -> None:
        self.aws.pass_time(seconds)

    # Actions of Latchkey.

    def onboard(self, name: str, secret: str, between: tuple[Between, ...] = ()) -> None:
        with self._onboarding(name, secret, between) as (request, execution, made):
            if made is not None:
                resources = {"keyArn": self.keys[SECRETS[secret]], "secretArn": self.arns[secret], "resourceArn": made["arn"]}
                event = {"request": request, "executionArn": execution, "resources": resources, "status": "active"}
                assert self._invoke("record_access", event, "onboarding"), "an access was not recorded"

    def onboard_in_vain(self, name: str, secret: str, between: tuple[Between, ...] = ()) -> None:
        """The access fails its checks and is undone."""
        with self._onboarding(name, secret) as (request, execution, _):
            event = {"request": request, "executionArn": execution}
            self._invoke("undo_onboarding", event, "undo", between, (name, self.keys[SECRETS[secret]]))

    @contextmanager
    def _onboarding(
        self, name: str, secret: str, between: tuple[Between, ...] = ()
    ) -> Iterator[tuple[dict[str, Any], str, dict[str, Any] | None]]:
        """Yields a request, its execution and the result of configure_access. The access is locked meanwhile."""
        self._number += 1
        key = self.keys[SECRETS[secret]]
        resource = {"sourceLocation": name, "baseUrl": "https://origin.example.com", "header": "X-T", "secretKey": _KEY}
        existing = {"value": {"existing": {"secretArn": self.arns[secret]}}, "replacesToken": True}
        request = {"requestId": f"r-{self._number}", "system": "mediatailor", "resource": resource, "secret": existing}
        access_id, execution = f"mediatailor/sourceLocation/{name}", f"arn:aws:states:::execution:onboard:{self._number}"
        self._registry.locks.lock(access_id, execution)
        self._registry.resources.refer(key, access_id)
        event = {"request": request, "executionArn": execution, "secretArn": self.arns[secret]}
        event |= {"key": {"arn": key, "changed": False}}
        made = self._invoke("configure_access", event, "onboarding", between, (name, key))
        yield request, execution, made
        # As report_outcome ends a request. What a rollback left open stays for the sweep.
        self._registry.journal.of(execution, access_id, DEFAULT_TENANT).settle(keep_open=made is None)
        self._registry.locks.unlock(access_id, execution)

    def look(self, access_id: str, keys: tuple[str, ...] = (), between: tuple[Between, ...] = ()) -> Looked | None:
        self._number += 1
        ticket = f"execution {self._number}"
        first = self._invoke("clean_up_grants", {"accessId": access_id, "keys": [*keys]}, ticket, between)
        return Looked(access_id, first, ticket) if first is not None else None

    def clean_up(self, looked: Looked, between: tuple[Between, ...] = ()) -> dict[str, Any] | None:
        event = {"accessId": looked.access_id, "first": looked.first}
        cleaned = self._invoke("clean_up_grants", event, looked.ticket, between)
        if cleaned is not None:
            self.oracle.ended(looked.ticket)
            self._report(looked, cleaned)
        return cleaned

    def _report(self, looked: Looked, cleaned: dict[str, Any]) -> None:
        """Records the state of the access, as the state machine does last. Sweeps use it."""
        observed = self._invoke("observe_access", {"accessId": looked.access_id}, looked.ticket)
        event = {"accessId": looked.access_id, "executionArn": looked.ticket, "look": looked.first}
        self._invoke("report_clean_up", event | {"cleaned": cleaned, "observed": observed}, looked.ticket)

    def sweep(self, between: tuple[Between, ...] = ()) -> list[dict[str, Any]]:
        """Returns the inputs of the clean-ups that a sweep starts. Lambda retries a failed sweep with the same event.

        The sweep also ends requests, which this model does not.
        """
        self.aws.started.clear()
        if self._invoke("sweep_grants", {"id": f"sweep-{self._sweeps}"}, "sweep", between) is not None:
            self._sweeps += 1
        inputs = [json.loads(json.loads(text)["input"]) for text in self.aws.started]
        return [one for one in inputs if "accessId" in one]

    def execute(self, name: str, between: tuple[Between, ...] = ()) -> None:
        """Runs another complete execution for an access."""
        looked = self.look(f"mediatailor/sourceLocation/{name}")
        if looked is not None:
            self.wait(GRACE)
            self.clean_up(looked, between)

    def rest(self) -> None:
        """Waits for the grace period and runs one sweep with its executions, without other actions.

        A grant that one of them orphans by restoring another is left to the next sweep.
        """
        self.aws.control.faults.clear()
        self.wait(3600)
        before = self.oracle.orphans({*self.keys.values()})
        self._sweep_and_clean_up()
        orphans = self.oracle.orphans(self._managed_keys())
        if orphans and not orphans.keys() & before:
            self._sweep_and_clean_up()
            orphans = self.oracle.orphans(self._managed_keys())
        self.oracle.at_rest(orphans)

    def _sweep_and_clean_up(self) -> None:
        asked = self.sweep()
        looked = [self.look(one["accessId"], tuple(one["keys"])) for one in asked]
        self.wait(GRACE)
        for one in looked:
            assert one is not None, "a look without any disturbance failed"
            if self.clean_up(one) is None:  # a grant that it created is not listed yet: the state machine retries
                self.wait(GRACE)
                assert self.clean_up(one) is not None, "a clean-up without any disturbance failed"

    def _managed_keys(self) -> set[str]:
        items = [item for item in self.aws.client("dynamodb").scan(TableName=TABLE)["Items"] if item["kind"]["S"] == "access"]
        known = {item["keyArn"]["S"] for item in items if "keyArn" in item}
        return known | {key for item in items if "grantKeys" in item for key in item["grantKeys"]["SS"]}

    def keys_of_grants(self, name: str) -> list[str]:
        """Returns the keys that have grants with the name of a location."""
        names = {arn: key for key, arn in self.keys.items()}
        return sorted(names[grant["KeyId"]] for grant in stored_grants() if grant["Name"] == PREFIX + name)

    def _invoke(
        self,
        verb: str,
        event: dict[str, Any],
        ticket: str,
        between: tuple[Between, ...] = (),
        onto: tuple[str, str] | None = None,
    ) -> dict[str, Any] | None:
        """Returns the result of a function, or None if it failed or crashed."""
        name = str(event.get("accessId", "")).rpartition("/")[2] or LOCATIONS[0]
        before = {one.call: self._doing(one.act, name) for one in between if not one.after}
        run = Run(before, {one.call: self._doing(one.act, name) for one in between if one.after}, ticket, onto)
        self.aws.runs.append(run)
        try:
            answer: dict[str, Any] = json.loads(json.dumps(handler(verb)(json.loads(json.dumps(event)), Context(verb))))
            return answer
        except InvalidRequest:
            raise
        except (LatchkeyError, Crash):
            return None
        finally:
            self.aws.runs.pop()
            if not self.aws.runs:
                self.aws.control.faults.clear()

    def _doing(self, act: Act, name: str) -> Callable[[Call], None]:
        if act.verb == "crash":
            return _crash
        if act.verb == "fail":
            return lambda call: self.aws.fail(call, *act.args)
        args = tuple(name if arg == IT else arg for arg in act.args)
        return lambda _: self.perform(Act(act.verb, args))

    def _secret(self, name: str, key: str) -> str:
        value = json.dumps({_KEY: "a-token-of-a-test"})
        return str(self.secrets.create_secret(Name=f"latchkey/{name}", SecretString=value, KmsKeyId=key)["ARN"])

    def _settings(self, name: str, secret: str) -> dict[str, Any]:
        access: dict[str, Any] = {"AccessType": "S3_SIGV4"}
        if secret != NO_TOKEN:
            token = {"HeaderName": "X-T", "SecretArn": self.arns[secret], "SecretStringKey": _KEY}
            access = {"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": token}
        base = {"BaseUrl": "https://origin.example.com"}
        return {"SourceLocationName": name, "HttpConfiguration": base, "AccessConfiguration": access}


def _crash(_: Call) -> None:
    raise Crash


def _create_table(dynamodb: Any) -> None:
    keys = [("kind", "HASH"), ("id", "RANGE")]
    dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
    )
