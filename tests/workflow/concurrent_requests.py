"""Two requests at once: the first is held at one of its AWS calls while the second runs, and one of them fails later.

After both have ended, the account, the registry and the outcomes must satisfy the invariants, whatever happened.
"""

import json
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from local_aws.tools.embedded_aws import until
from tests.workflow.fault_injection import ANY, WORK, Detail, FaultInjection, Kind
from tests.workflow.footprints import TracedCall
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
    """The request that fails, the number of its call that fails, and how. Only calls of functions in WORK count."""

    of_first: bool
    call: int
    kind: Kind


@dataclass(frozen=True)
class Case:
    """One interleaving of a pair. The first request is held at its `held_at`-th call, or ends before the second is sent."""

    pair: str
    held_at: int | None
    failure: Failure | None = None

    def __str__(self) -> str:
        text = f"{self.pair}, held at {self.held_at or 'the end'}"
        if self.failure is None:
            return text
        which = "first" if self.failure.of_first else "second"
        return f"{text}, call {self.failure.call} of the {which}: {self.failure.kind.name}"


@dataclass
class Run:
    """A case that was run: the calls of both requests in the order of their effects, and what is wrong afterwards.

    `is_held` says whether the first request made its `held_at`-th call, and `is_blocked` whether the second one waited for it.
    `is_late` means that a client can have given up a held call, so that the run says nothing.
    """

    case: Case
    pair: Pair
    calls: list[TracedCall] = field(default_factory=list)
    is_held: bool = False
    is_blocked: bool = False
    is_late: bool = False
    outcomes: tuple[str, ...] = ()
    wrong: list[str] = field(default_factory=list)

    def leases_of(self, request: Detail) -> list[Detail]:
        """The items of the leases that a request took."""
        taken = [call.parameters.get("Item", {}) for call in self._of(request)]
        return [item for item in taken if item.get("kind") == {"S": "lease"} and " queue " not in item["id"]["S"]]

    @property
    def of_first(self) -> list[TracedCall]:
        return self._of(self.pair.first)

    @property
    def of_second(self) -> list[TracedCall]:
        return self._of(self.pair.second)

    @property
    def between(self) -> list[TracedCall]:
        """The calls of the second request while the first one was held."""
        assert self.case.held_at is not None
        calls = self.of_first
        held = calls[self.case.held_at - 1] if len(calls) >= self.case.held_at else None
        place = next((place for place, call in enumerate(self.calls) if call is held), len(self.calls))
        return [call for call in self.calls[:place] if call.request == self.pair.second["requestId"]]

    def _of(self, request: Detail) -> list[TracedCall]:
        return [call for call in self.calls if call.request == request["requestId"]]


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


def create_and_adopt(world: FaultInjection) -> Pair:
    """The same with the request first that adopts the secret."""
    pair = adopt_and_create(world)
    return Pair(pair.second, pair.first, pair.owned)


PAIRS: Mapping[str, Callable[[FaultInjection], Pair]] = {
    make.__name__: make for make in (same_access, same_key, same_secret, adopt_and_create, create_and_adopt)
}


# The calls with which a function begins to wait for another request.
_WAITS: tuple[Detail, ...] = (
    {"service": "dynamodb", "operation": "Query", "body": '"lease"'},
    {"service": "dynamodb", "operation": "UpdateItem", "body": "waitingFor = :reason"},
)
# All calls except the reads of a tenant's document, which functions cache for some time. Nobody writes it.
_NUMBERED = r'^(?!.*"/latchkey/tenants/)'
# Many cases share a sweep, and a few run at once. A held call must not last longer than the timeout of its client.
_AT_ONCE = 4
_TIMEOUT_SECONDS = 9
_SECONDS = 120


# The steps of a case, the case, and until when it must have ended.
type _Course = tuple[Iterator[None], Run, float]


class ConcurrentRequests:
    """Runs pairs of requests and checks what they leave.

    A request that begins to wait for the other one is held until the other one has ended, so that the order is always the same.
    """

    def __init__(self, world: FaultInjection) -> None:
        self._world, self._aws = world, world.aws
        self._runs: dict[str, Run] = {}
        self._events: dict[str, Detail] = {}
        self._outcome_ids = defaultdict[Any, set[Any]](set)
        self._held: set[str] = set()
        self._ended: set[str] = set()
        self._without_leases: set[str] = set()
        self._values: dict[str, str | None] = {}
        self._account = Snapshot(world)

    def run_all(self, cases: Iterable[Case]) -> list[Run]:
        """Runs the cases, and one sweep after them. `wrong` of each run says which invariants do not hold then."""
        self._aws.control("PUT", "trace")
        runs = [Run(case, PAIRS[case.pair](self._world)) for case in cases]
        waiting, courses = runs[::-1], list[_Course]()
        while waiting or courses:
            while waiting and len(courses) < _AT_ONCE:
                run = waiting.pop()
                courses.append((self._course(run), run, time.monotonic() + _SECONDS))
            over = until(partial(self._over, courses), "the end of a case", 2 * _SECONDS)
            courses = [one for one in courses if one not in over]
        self._aws.control("DELETE", "faults")
        self._aws.control("DELETE", "trace")
        self._world.settle()
        self._world.sweep()
        self._account = Snapshot(self._world)
        for event in self._world.outcomes.all():
            self._outcome_ids[event["detail"].get("requestId")].add(event["detail"].get("outcomeId"))
        ended = [run for run in runs if not run.wrong]
        for run in ended:
            run.outcomes = tuple(self._outcome(request)["detail-type"] for request in (run.pair.first, run.pair.second))
            run.wrong += self._wrong(run.pair)
        self._repeat(ended)
        return runs

    def _over(self, courses: list[_Course]) -> list[_Course]:
        """Lets every case go on as far as it can, and returns those that have ended or take too long."""
        self._observe()
        return [one for one in courses if not self._goes_on(*one)]

    def _goes_on(self, course: Iterator[None], run: Run, deadline: float) -> bool:
        if time.monotonic() > deadline:
            run.wrong.append(f"I10: does not end, after {[*map(str, run.calls[-5:])]}")
            return False
        return next(course, self) is None

    def _course(self, run: Run) -> Iterator[None]:
        """Carries out a case. Yields while it waits."""
        first, second = run.pair.first, run.pair.second
        for request in (first, second):
            self._runs[request["requestId"]] = run
        self._values[first["requestId"]] = self._secret_value(run.pair.owned)
        if failure := run.case.failure:
            failing = failure.kind.fault | {"caller": WORK, "call": failure.call, "body": _NUMBERED}
            self._fault(first if failure.of_first else second, failing)
        if run.case.held_at:
            self._fault(first, {"error": "hold", "call": run.case.held_at, "caller": ANY, "body": _NUMBERED})
        self._hold_waits(second)
        self._world.put(first)
        while not self._is_held(first) and not self._has_ended(first):
            yield
        run.is_held = self._is_held(first)
        began = time.monotonic()
        self._world.put(second)
        while not self._is_held(second) and not self._has_ended(second):
            yield
        run.is_blocked = self._is_held(second)
        run.is_late = run.is_held and time.monotonic() - began > _TIMEOUT_SECONDS
        self._release(first)
        self._hold_waits(first)
        began = time.monotonic()
        while not self._is_held(first) and not self._has_ended(first):
            yield
        run.is_late |= run.is_blocked and time.monotonic() - began > _TIMEOUT_SECONDS
        self._release(second)
        self._release(first)
        while not self._has_ended(first) or not self._has_ended(second):
            self._end_leases(run)
            yield

    def _end_leases(self, run: Run) -> None:
        """Deletes the leases that a request which has ended could not release. They expire after three minutes otherwise."""
        for request in (run.pair.first, run.pair.second):
            if request["requestId"] in self._without_leases or not self._has_ended(request):
                continue
            self._without_leases.add(request["requestId"])
            for lease in run.leases_of(request):
                key = {"kind": {"S": "lease"}, "id": lease["id"]}
                held = {"ConditionExpression": "holder = :holder", "ExpressionAttributeValues": {":holder": lease["holder"]}}
                with suppress(self._world.dynamodb.exceptions.ConditionalCheckFailedException):
                    self._world.dynamodb.delete_item(TableName=self._world.table, Key=key, **held)

    def _observe(self) -> None:
        self._held = {*self._aws.control("GET", "held")}
        for call in map(TracedCall.of, self._aws.control("GET", "trace")):
            if call.request in self._runs and call.service != "ssm":
                self._runs[call.request].calls.append(call)
        for event in self._world.outcomes.all():
            self._events.setdefault(event["detail"].get("requestId", ""), event)

    def _is_held(self, request: Detail) -> bool:
        return request["requestId"] in self._held

    def _release(self, request: Detail) -> None:
        self._aws.control("DELETE", "held", {"request": request["requestId"]})
        self._held.discard(request["requestId"])

    def _has_ended(self, request: Detail) -> bool:
        name = request["requestId"]
        if name in self._events and name not in self._ended:
            arn = self._events[name]["detail"].get("executionArn")
            if not arn or self._world.states.describe_execution(executionArn=arn)["status"] != "RUNNING":
                self._ended.add(name)
        return name in self._ended

    def _hold_waits(self, request: Detail) -> None:
        for wait in _WAITS:
            self._fault(request, wait | {"error": "hold", "times": 10_000, "caller": ANY})

    def _fault(self, request: Detail, fault: Detail) -> None:
        self._aws.control("POST", "faults", fault | {"request": request["requestId"]})

    def _outcome(self, request: Detail) -> Detail:
        return self._events[request["requestId"]]

    def _wrong(self, pair: Pair) -> Iterator[str]:
        requests = (pair.first, pair.second)
        for request in requests:
            if len(self._outcome_ids[request["requestId"]]) != 1:
                yield f"I10: {request['requestId']} has several outcomes"
        made = [event["detail"]["resources"] for event in map(self._outcome, requests) if event["detail-type"] in _SUCCEEDED]
        yield from self._wrong_keys(requests, made)
        yield from self._wrong_secrets(pair, made)
        yield from self._wrong_locations(requests, made)
        yield from self._wrong_registry({*(resources["keyArn"] for resources in made)}, pair)

    def _repeat(self, runs: list[Run]) -> None:
        """Sends the last request of each run that succeeded again, which must change nothing."""
        repeated = list[tuple[Run, Detail]]()
        for run in runs:
            succeeded = [one for one in (run.pair.second, run.pair.first) if self._outcome(one)["detail-type"] in _SUCCEEDED]
            for request in succeeded[:1]:
                repeated.append((run, request | {"requestId": f"again-{request['requestId']}"}))
        for begin in range(0, len(repeated), 2 * _AT_ONCE):
            some = repeated[begin : begin + 2 * _AT_ONCE]
            for _, request in some:
                self._world.put(request)
            for run, request in some:
                detail = self._world.outcomes.wait_for(request["requestId"])["detail"]
                if detail["status"] != "unchanged":
                    run.wrong.append(f"{request['requestId']} succeeded before, and its repetition is {detail}")

    def _wrong_keys(self, requests: tuple[Detail, ...], made: list[Detail]) -> Iterator[str]:
        keys = self._account.tagged_keys(requests)
        under = Counter(secret.get("KmsKeyId") for secret in self._account.secrets)
        used = {resources["keyArn"] for resources in made}
        for arn, state in keys.items():
            if state == "PendingDeletion" and (under[arn] or arn in used):
                yield f"I12: {arn} is scheduled for deletion and {under[arn]} secrets are under it"
            if state == "Enabled" and arn not in used and not under[arn] and not self._is_left(requests):
                yield f"I9: {arn} is left and used by nothing"

    def _wrong_secrets(self, pair: Pair, made: list[Detail]) -> Iterator[str]:
        requests, owned = (pair.first, pair.second), pair.owned
        used = {resources.get("secretArn") for resources in made}
        tagged = {secret["ARN"] for secret in self._account.secrets if _is_of(requests, secret["Tags"], "Key")}
        if not self._is_left(requests):
            yield from (f"I9: {arn} is left and used by nothing" for arn in tagged - used)
        if owned:
            if self._secret_value(owned) != self._values[pair.first["requestId"]]:
                yield f"I6: the value of {owned} changed"
            ours = [s for s in self._world.secret_policy(owned).get("Statement", []) if s["Sid"].startswith("Latchkey")]
            if ours and owned not in used and not self._is_left(requests):
                yield f"I6: {owned} keeps {[statement['Sid'] for statement in ours]}"

    def _wrong_locations(self, requests: tuple[Detail, ...], made: list[Detail]) -> Iterator[str]:
        names = {request["resource"]["sourceLocation"] for request in requests} & self._account.locations
        used = {resources["resourceArn"].rpartition("/")[2] for resources in made if resources.get("resourceArn")}
        if not self._is_left(requests):
            yield from (f"I9: the source location {name} is left" for name in names - used)

    def _wrong_registry(self, keys: set[str], pair: Pair) -> Iterator[str]:
        """What is wrong in the items of the two accesses. What an earlier case reported as left is not theirs."""
        requests = (pair.first, pair.second)
        accesses = {f"mediatailor/sourceLocation/{request['resource']['sourceLocation']}" for request in requests}
        is_left = self._is_left(requests)
        for item in self._account.items:
            plain = {name: next(iter(value.values())) for name, value in item.items()}
            label = f"{plain['kind']} {plain['id']}"
            if plain["kind"] == "journal" and plain["accessId"] in accesses and not is_left:
                yield f"I9: {label} is left in the journal"
            if plain["kind"] == "access" and plain["id"] in accesses and "running" in plain:
                yield f"I9: {label} is locked after the end"
            if plain["kind"] == "resource":
                dangling = ({*plain.get("accesses", ())} & accesses) - self._account.recorded
                if dangling and not is_left:
                    yield f"I9: {label} refers to {dangling}, which are not recorded"
                if ":key/" in plain["id"] and plain["id"] in keys and not plain.get("accesses"):
                    yield f"I12: {label} is used and has no reference"

    def _is_left(self, requests: tuple[Detail, ...]) -> bool:
        """Whether an outcome says that its rollback is incomplete."""
        ended = map(self._outcome, requests)
        return any(event["detail-type"] == "Request Failed" and event["detail"]["changed"] for event in ended)

    def _secret_value(self, arn: str | None) -> str | None:
        return self._world.secretsmanager.get_secret_value(SecretId=arn)["SecretString"] if arn else None


class Snapshot:
    """Keys, secrets, locations and the registry at one time."""

    def __init__(self, world: FaultInjection) -> None:
        kms, listed = world.kms, world.secretsmanager.get_paginator("list_secrets").paginate(IncludePlannedDeletion=True)
        arns = [key["KeyArn"] for page in kms.get_paginator("list_keys").paginate() for key in page["Keys"]]
        self._keys = [
            (arn, kms.list_resource_tags(KeyId=arn)["Tags"], kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"])
            for arn in arns
        ]
        self.secrets: list[Detail] = [secret for page in listed for secret in page["SecretList"]]
        self.locations = {*world.location_names()}
        pages = world.dynamodb.get_paginator("scan").paginate(TableName=world.table)
        self.items: list[Detail] = [item for page in pages for item in page["Items"]]
        self.recorded = {item["id"]["S"] for item in self.items if item["kind"]["S"] == "access" and "version" in item}

    def tagged_keys(self, requests: tuple[Detail, ...]) -> dict[str, str]:
        """The states of the keys that the requests created."""
        return {arn: state for arn, tags, state in self._keys if _is_of(requests, tags, "TagKey")}


def _is_of(requests: tuple[Detail, ...], tags: list[Detail], name: str) -> bool:
    values = {tag[name]: tag[f"{name.removesuffix('Key')}Value"] for tag in tags}
    return values.get("latchkey:request") in {request["requestId"] for request in requests}
