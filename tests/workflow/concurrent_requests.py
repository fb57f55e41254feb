"""Two requests at once: the first is held at one of its AWS calls while the second runs, and one of them fails later.

After both have ended, the account, the registry and the outcomes must satisfy the invariants, whatever happened.
"""

import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local_aws.tools.embedded_aws import until
from tests.workflow.fault_injection import WORK, Detail, FaultInjection, Kind
from tests.workflow.onboarding import MEMBER

_SUCCEEDED = {"Access Onboarded", "Access Handed Off"}


@dataclass(frozen=True)
class Pair:
    """Two requests, and the ARN of the owner's secret if they adopt one."""

    first: Detail
    second: Detail
    owned: str | None = None


@dataclass(frozen=True)
class Failure:
    """The request that fails, the number of its call that fails (for the first request, counted from the hold), and how."""

    of_first: bool
    call: int
    kind: Kind


@dataclass(frozen=True)
class Case:
    """One interleaving. The first request is held at its `held_at`-th call."""

    held_at: int
    failure: Failure | None


def same_access(world: FaultInjection) -> Pair:
    first = world.detail()
    return Pair(first, first | {"requestId": f"second-{first['requestId']}"})


def same_key(world: FaultInjection) -> Pair:
    first = world.detail()
    return Pair(first, world.detail(key=first["key"]))


def same_secret(world: FaultInjection) -> Pair:
    owned = world.new_secret(json.dumps({MEMBER: secrets.token_hex(10)}))
    sharing = {"value": {"existing": {"secretArn": owned}}}
    first = world.detail(secret=sharing)
    return Pair(first, world.detail(key=first["key"], secret=sharing), owned)


def adopt_and_create(world: FaultInjection) -> Pair:
    """The second request adopts an owner's secret, which moves to the key that the first creates."""
    owned = world.new_secret(json.dumps({MEMBER: secrets.token_hex(10)}))
    first = world.detail()
    return Pair(first, world.detail(key=first["key"], secret={"value": {"existing": {"secretArn": owned}}}), owned)


PAIRS: Mapping[str, Callable[[FaultInjection], Pair]] = {
    make.__name__: make for make in (same_access, same_key, same_secret, adopt_and_create)
}


class ConcurrentRequests:
    """Runs pairs of requests and checks what they leave."""

    def __init__(self, world: FaultInjection) -> None:
        self._world, self._aws = world, world.aws
        self._value: str | None = None

    def run(self, pair: Pair, case: Case) -> bool:
        """Runs one case. Returns False if the first request ended before its `held_at`-th call."""
        first, second = pair.first, pair.second
        self._value = self._secret_value(pair.owned)
        self._fault(first, case.held_at, {"error": "hold"})
        if case.failure:
            of, start = (first, case.held_at) if case.failure.of_first else (second, 0)
            self._fault(of, start + case.failure.call, case.failure.kind.fault)
        self._world.put(first)
        is_held = until(lambda: self._holds(first), "the first request to be held or to end", 60) == "held"
        self._world.put(second)
        if is_held:
            # Shorter than the timeout of the clients: a call that its client gave up would take effect when it is released.
            enough = time.monotonic() + 5
            until(lambda: self._world.outcome_or_error(second) or time.monotonic() > enough, "the second request")
        self._aws.control("DELETE", "held")
        for request in (first, second):
            self._world.outcomes.wait_for(request["requestId"], 120)
        self._world.settle()
        self._aws.control("DELETE", "faults")
        self._world.sweep()
        wrong = [*self._wrong(pair)]
        assert not wrong, f"{case}: {wrong}\n{json.dumps([self._outcome(request) for request in (first, second)], indent=1)}"
        return is_held

    def _fault(self, request: Detail, call: int, fault: Detail) -> None:
        self._aws.control("POST", "faults", fault | {"request": request["requestId"], "caller": WORK, "call": call})

    def _holds(self, request: Detail) -> str | None:
        if self._aws.control("GET", "faults"):
            return "held"
        return "ended" if self._world.outcomes.of(request["requestId"], wait=0) else None

    def _outcome(self, request: Detail) -> Detail:
        outcome: Detail = self._world.outcomes.of(request["requestId"])[0]
        return outcome

    def _wrong(self, pair: Pair) -> Iterator[str]:
        requests = (pair.first, pair.second)
        for request in requests:
            outcomes = {event["detail"]["outcomeId"] for event in self._world.outcomes.of(request["requestId"])}
            if len(outcomes) != 1:
                yield f"I10: {request['requestId']} has {len(outcomes)} outcomes"
        made = [event["detail"]["resources"] for event in map(self._outcome, requests) if event["detail-type"] in _SUCCEEDED]
        yield from self._wrong_keys(requests, made)
        yield from self._wrong_secrets(requests, made, pair.owned)
        yield from self._wrong_locations(requests, made)
        yield from self._wrong_registry({*(resources["keyArn"] for resources in made)}, pair)
        for request in requests[::-1]:
            if self._outcome(request)["detail-type"] in _SUCCEEDED:
                repeated = self._world.send(request | {"requestId": f"again-{request['requestId']}"})["detail"]
                if repeated["status"] != "unchanged":
                    yield f"{request['requestId']} succeeded, and its repetition is {repeated}"
                break

    def _wrong_keys(self, requests: tuple[Detail, ...], made: list[Detail]) -> Iterator[str]:
        keys = self._tagged_keys(requests)
        under = Counter(secret.get("KmsKeyId") for secret in self._secrets())
        used = {resources["keyArn"] for resources in made}
        for arn, state in keys.items():
            if state == "PendingDeletion" and (under[arn] or arn in used):
                yield f"I12: {arn} is scheduled for deletion and {under[arn]} secrets are under it"
            if state == "Enabled" and arn not in used and not under[arn] and not self._is_left(requests):
                yield f"I9: {arn} is left and used by nothing"

    def _wrong_secrets(self, requests: tuple[Detail, ...], made: list[Detail], owned: str | None) -> Iterator[str]:
        used = {resources.get("secretArn") for resources in made}
        tagged = {secret["ARN"] for secret in self._secrets() if self._is_of(requests, secret["Tags"], "Key")}
        if not self._is_left(requests):
            yield from (f"I9: {arn} is left and used by nothing" for arn in tagged - used)
        if owned:
            if self._secret_value(owned) != self._value:
                yield f"I6: the value of {owned} changed"
            ours = [s for s in self._world.secret_policy(owned).get("Statement", []) if s["Sid"].startswith("Latchkey")]
            if ours and owned not in used and not self._is_left(requests):
                yield f"I6: {owned} keeps {[statement['Sid'] for statement in ours]}"

    def _wrong_locations(self, requests: tuple[Detail, ...], made: list[Detail]) -> Iterator[str]:
        names = {request["resource"]["sourceLocation"] for request in requests} & {*self._world.location_names()}
        used = {resources["resourceArn"].rpartition("/")[2] for resources in made if resources.get("resourceArn")}
        if not self._is_left(requests):
            yield from (f"I9: the source location {name} is left" for name in names - used)

    def _wrong_registry(self, keys: set[str], pair: Pair) -> Iterator[str]:
        """What is wrong in the items of the two accesses. What an earlier case reported as left is not theirs."""
        requests = (pair.first, pair.second)
        accesses = {f"mediatailor/sourceLocation/{request['resource']['sourceLocation']}" for request in requests}
        is_left = self._is_left(requests)
        for item in self._items():
            plain = {name: next(iter(value.values())) for name, value in item.items()}
            label = f"{plain['kind']} {plain['id']}"
            if plain["kind"] == "journal" and plain["accessId"] in accesses and not is_left:
                yield f"I9: {label} is left in the journal"
            if plain["kind"] == "access" and plain["id"] in accesses and "running" in plain:
                yield f"I9: {label} is locked after the end"
            if plain["kind"] == "resource":
                dangling = ({*plain.get("accesses", ())} & accesses) - self._recorded()
                if dangling and not is_left:
                    yield f"I9: {label} refers to {dangling}, which are not recorded"
                if ":key/" in plain["id"] and plain["id"] in keys and not plain.get("accesses"):
                    yield f"I12: {label} is used and has no reference"

    def _recorded(self) -> set[str]:
        return {item["id"]["S"] for item in self._items() if item["kind"]["S"] == "access" and "version" in item}

    def _items(self) -> list[Detail]:
        pages = self._world.dynamodb.get_paginator("scan").paginate(TableName=self._world.table)
        return [item for page in pages for item in page["Items"]]

    def _is_left(self, requests: tuple[Detail, ...]) -> bool:
        """Whether an outcome says that its rollback is incomplete."""
        ended = map(self._outcome, requests)
        return any(event["detail-type"] == "Request Failed" and event["detail"]["changed"] for event in ended)

    def _tagged_keys(self, requests: tuple[Detail, ...]) -> dict[str, str]:
        kms = self._world.kms
        arns = [key["KeyArn"] for page in kms.get_paginator("list_keys").paginate() for key in page["Keys"]]
        mine = [arn for arn in arns if self._is_of(requests, kms.list_resource_tags(KeyId=arn)["Tags"], "TagKey")]
        return {arn: kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] for arn in mine}

    def _secrets(self) -> list[Any]:
        pages = self._world.secretsmanager.get_paginator("list_secrets").paginate(IncludePlannedDeletion=True)
        return [secret for page in pages for secret in page["SecretList"]]

    @staticmethod
    def _is_of(requests: tuple[Detail, ...], tags: list[Detail], name: str) -> bool:
        values = {tag[name]: tag[f"{name.removesuffix('Key')}Value"] for tag in tags}
        return values.get("latchkey:request") in {request["requestId"] for request in requests}

    def _secret_value(self, arn: str | None) -> str | None:
        return self._world.secretsmanager.get_secret_value(SecretId=arn)["SecretString"] if arn else None
