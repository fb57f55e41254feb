"""Requests whose n-th API call fails, for each n, and the table of their outcomes."""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local_aws.tools.embedded_aws import Embedded, until
from local_aws.tools.outcomes import Outcomes
from tests.fault_log import FaultLog
from tests.sampling import WHOLE, Place, Sample
from tests.workflow.onboarding import Onboarding

Detail = dict[str, Any]

# The functions that carry out requests in the ARN of a role. Others can run at the same time.
_FUNCTION = re.compile(
    r"/latchkey-((?:Receive|Check|Plan|Create|Attach|Configure|Validate|Record|Promote|Apply|Restore|Detach|RemovePolicies"
    r"|DeleteSecret|CleanUpGrants|ReportCleanUp|ReportOutcome|Undo)\w*?)Function"
)
# An offboarding invokes these without its request.
_OF_CLEANUP = ("CleanUpGrants", "ReportCleanUp")

# Patterns for the roles of functions: those that carry out a request, all, those that undo it, and those that report on it.
WORK = "latchkey-(?!Receive|Report|Undo|CleanUp)"
# Those of an offboarding, including the cleanup of its grant.
OFFBOARDING = "latchkey-(CheckOffboarding|Detach|RemovePolicies|DeleteSecret|RecordOffboarding|CleanUpGrants|ReportCleanUp)"
ANY = "latchkey-"
UNDO = "latchkey-Undo"
REPORT = "latchkey-Re(ceive|port)"
# A permanent failure after everything is created.
LATE: Detail = {"service": "mediatailor", "operation": "ListAlerts", "error": "SomethingInvalid"}
SUCCESSES = ("Access Onboarded", "Access Offboarded", "Access Planned", "Token Pending", "Token Rotated")
_NO_CALL = "no call"
NOTHING: Detail = {"aliases": [], "keys": [], "secrets": [], "locations": []}


@dataclass(frozen=True)
class Kind:
    """A way in which a call fails."""

    name: str
    fault: Detail = field(hash=False)


FINAL = Kind("400 after the effect", {"error": "SomethingInvalid", "when": "after"})
FINAL_BEFORE = Kind("400", {"error": "SomethingInvalid"})
DENIED = Kind("access denied that lasts", {"error": "AccessDeniedException", "lasting": True})
DENIED_ONCE = Kind("access denied once", {"error": "AccessDeniedException"})
THROTTLED = Kind("throttling that lasts", {"error": "ThrottlingException", "lasting": True})
THROTTLED_ONCE = Kind("throttling once", {"error": "ThrottlingException"})
BROKEN = Kind("500", {"error": "InternalFailure", "status": 500})
BROKEN_AFTER = Kind("500 after the effect", {"error": "InternalFailure", "status": 500, "when": "after"})
TIMED_OUT = Kind("timeout after the effect", {"error": "timeout", "when": "after"})
KILLED = Kind("killed after the effect", {"error": "killed", "when": "after"})
KILLED_BEFORE = Kind("killed", {"error": "killed"})


def profile(*kinds: Kind) -> list[tuple[Kind, ...]]:
    """Returns one loop in which the kinds alternate or, with WHOLE, one loop per kind."""
    return [(kind,) for kind in kinds] if WHOLE else [kinds]


@dataclass(frozen=True)
class FaultRun:
    """A request of which one call failed, and its outcome event."""

    place: Place
    operation: str
    kind: Kind
    detail: Detail
    event: Detail

    def __str__(self) -> str:
        result = json.dumps(self.event["detail"])[:2000]
        return f"{self.kind.name}, call {self.place.call} of {self.place.function}, {self.operation}: {result}"

    @property
    def outcome(self) -> str:
        return str(self.event["detail-type"])


class FaultInjection(Onboarding):
    """Sends requests with injected faults to an account whose state machines hardly wait."""

    def __init__(self, aws: Embedded, outcomes: Outcomes, report: Callable[[str], None] = print) -> None:
        super().__init__(aws, outcomes)
        self._report = report
        self.dynamodb = aws.client("dynamodb")
        self.states = aws.client("stepfunctions")
        machines = self.states.list_state_machines()["stateMachines"]
        self._machine = next(one["stateMachineArn"] for one in machines if "Onboard" in one["name"])
        self.table = next(name for name in self.dynamodb.list_tables()["TableNames"] if "AccessTable" in name)
        self._known_keys = self._keys()

    def calls(self, caller: str, detail: Detail, *others: Detail) -> dict[str, int]:
        """Sends a request with the faults `others` only, and returns how many calls each function of `caller` made for it."""
        self._add_faults(detail, others)
        self.aws.control("DELETE", "calls")
        event = self._outcome(detail, leases_end=False)
        self.settle()
        self.aws.control("DELETE", "faults")
        assert (event["detail-type"] in SUCCESSES) is not bool(others), event
        found = Counter[str]()
        for call in self.aws.control("GET", "calls"):
            function = _FUNCTION.search(call["principal"])
            if function and re.search(caller, call["principal"]):
                found[function[1]] += call["count"]
        assert found, f"no call of {caller}"
        return dict(found)

    def each_call(
        self, kinds: tuple[Kind, ...], calls: dict[str, int], sample: Sample, detail_of: Callable[[], Detail], *others: Detail
    ) -> Iterator[FaultRun]:
        """Sends one request for each call in the sample, with a fault at that call. `calls` are the numbers by function.

        The kinds alternate. Each request also has the faults `others`. Leases that a killed function holds are deleted before
        the next request. A function can make fewer calls than `calls` says, because it polls or remembers what it read. The
        fault hits nothing then, and the next request has the same kind. A loop can run in parts: see FaultLog.
        """
        places, log = sample.places(calls), FaultLog()
        alternating, hit = cycle(kinds), list[tuple[Kind, Place]]()
        kind = next(alternating)
        for place in places:
            assert not log.is_over, f"{len(hit)} of {len(places)} combinations are done: continue with the same FAULT_LOG"
            met = log.met(kind.name, place)
            if met is None:
                run = self._run(place, kind, detail_of(), others)
                met = run.operation != _NO_CALL
                assert met or (run.event["detail-type"] in SUCCESSES) is not bool(others), run.event
                yield run
                log.note(kind.name, place, met=met)
            if met:
                hit.append((kind, place))
                kind = next(alternating)
        assert {place.function for _, place in hit} == {*calls}, "no call of a function failed"
        assert {kind for kind, _ in hit} == {*kinds} or len(places) < len(kinds), "a kind of failure is missing"
        self._report(f"{len(hit)} of {sum(calls.values()) * len(kinds)} combinations of calls and failures")

    def _run(self, place: Place, kind: Kind, detail: Detail, others: tuple[Detail, ...]) -> FaultRun:
        """Sends a request of which one call fails."""
        selected = {"caller": place.caller, "call": place.call} | ({"request": None} if place.function in _OF_CLEANUP else {})
        self._add_faults(detail, (*others, kind.fault | selected))
        event = self._outcome(detail, leases_end=kind.fault["error"] == "killed")
        met = [one for one in self.aws.control("GET", "faults") if re.search(place.caller, one["principal"])]
        self.aws.control("DELETE", "faults")
        if met and met[0]["operation"] == "DeleteItem":
            self.end_leases()
        operation = f"{met[0]['service']} {met[0]['operation']}" if met else _NO_CALL
        run = FaultRun(place, operation, kind, detail, event)
        if met:
            _append_to_table(run)
        return run

    def _add_faults(self, detail: Detail, faults: tuple[Detail, ...]) -> None:
        for fault in faults:
            self.aws.control("POST", "faults", {"request": detail["requestId"]} | fault)

    def _outcome(self, detail: Detail, leases_end: bool) -> Detail:
        """Returns the outcome of a request. With `leases_end`, leases of killed functions expire at once."""
        self.put(detail, _kind_of(detail))

        def arrived() -> Detail | None:
            if leases_end:
                self.end_leases()
            return next(iter(self.outcomes.of(detail["requestId"], wait=0 if leases_end else 1)), None)

        found = until(arrived, f"outcome of {detail}", 60)
        assert found is not None
        return found

    def item(self, kind: str, item_id: str) -> Detail:
        """Returns an item of the registry; empty if it does not exist."""
        key = {"kind": {"S": kind}, "id": {"S": item_id}}
        found: Detail = self.dynamodb.get_item(TableName=self.table, Key=key).get("Item", {})
        return found

    def journal(self) -> list[str]:
        """Returns the ids of all journal entries."""
        query = {"ExpressionAttributeValues": {":kind": {"S": "journal"}}, "KeyConditionExpression": "kind = :kind"}
        return [item["id"]["S"] for item in self.dynamodb.query(TableName=self.table, **query)["Items"]]

    def lock(self, access_id: str) -> str | None:
        """Returns the execution that holds the lock of an access, or None."""
        found: str | None = self.item("access", access_id).get("running", {}).get("S")
        return found

    def end_leases(self) -> None:
        """Deletes all leases, which would otherwise expire after three minutes."""
        key = {"ExpressionAttributeValues": {":kind": {"S": "lease"}}, "KeyConditionExpression": "kind = :kind"}
        for item in self.dynamodb.query(TableName=self.table, **key)["Items"]:
            self.dynamodb.delete_item(TableName=self.table, Key={"kind": item["kind"], "id": item["id"]})

    def again(self, run: FaultRun) -> Detail:
        """Sends the same content with a new id, which must succeed without a failed attempt, and returns the outcome."""
        detail = run.detail | {"requestId": f"again-{run.detail['requestId']}"}
        outcome = self.onboard(detail)
        assert self._errors_of(outcome["executionArn"]) == [], str(run)
        return outcome

    def outcome_or_error(self, request: Detail) -> str | None:
        """Returns the detail type of a request's outcome or, before that, the first error in its execution."""
        ended = [event["detail-type"] for event in self.outcomes.of(request["requestId"])]
        name = hashlib.sha256(json.dumps(request["requestId"]).encode()).hexdigest()[:32]
        running = self.states.list_executions(stateMachineArn=self._machine, statusFilter="RUNNING")["executions"]
        met = [error for one in running if one["name"].startswith(name) for error in self._errors_of(one["executionArn"])]
        return next(iter((*ended, *met)), None)

    def _errors_of(self, execution_arn: str) -> list[str]:
        """Returns the errors of an execution's tasks in order."""
        history = self.states.get_execution_history(executionArn=execution_arn, maxResults=1000)["events"]
        return [event["taskFailedEventDetails"]["error"] for event in history if event["type"] == "TaskFailed"]

    def left(self, detail: Detail) -> Detail:
        """Returns the alias, enabled keys, secret and source location of a request that still exist."""
        name = detail["resource"]["sourceLocation"]
        new, self._known_keys = self._keys() - self._known_keys, self._keys()
        tags = {arn: self.kms.list_resource_tags(KeyId=arn)["Tags"] for arn in new}
        made = [arn for arn, pairs in tags.items() for tag in pairs if tag["TagValue"] == detail["requestId"]]
        states = {arn: self.kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] for arn in made}
        alias, secret = detail["key"].get("alias"), f"latchkey/mediatailor/{name}/token"
        return {
            "aliases": [alias] if alias and _exists(self.kms.describe_key, KeyId=alias) else [],
            "keys": [arn for arn, state in states.items() if state != "PendingDeletion"],
            "secrets": [secret] if _exists(self.secretsmanager.describe_secret, SecretId=secret) else [],
            "locations": [name] if _exists(self.mediatailor.describe_source_location, SourceLocationName=name) else [],
        }

    def _keys(self) -> set[str]:
        return {key["KeyArn"] for page in self.kms.get_paginator("list_keys").paginate() for key in page["Keys"]}


# The detail type of a request by the first word of its ID.
_KINDS = {
    "rotation": "Rotation Requested",
    "confirmation": "Rotation Confirmed",
    "offboard": "Offboarding Requested",
    "restore": "Restoration Requested",
}


def _kind_of(detail: Detail) -> str:
    return _KINDS.get(detail["requestId"].split("-")[0], "Onboarding Requested")


def _exists(look: Callable[..., Any], **named: str) -> bool:
    try:
        look(**named)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 404):
            return False
        raise
    return True


def _append_to_table(run: FaultRun) -> None:
    """Appends a row to the file that FAULT_TABLE names."""
    if path := os.environ.get("FAULT_TABLE"):
        row = (run.kind.name, str(run.place.call), run.place.function, run.operation, run.outcome)
        with Path(path).open("a") as table:
            table.write("\t".join((*row, run.event["detail"].get("failure", {}).get("name", ""))) + "\n")
