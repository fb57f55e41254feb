"""Requests whose n-th API call fails, for each n, and the table of their outcomes."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local_aws.tools.embedded_aws import Embedded, until
from local_aws.tools.outcomes import Outcomes
from tests.workflow.onboarding import Onboarding

Detail = dict[str, Any]

# Patterns for the roles of functions: those that carry out a request, all, those that undo it, and those that report on it.
WORK = "latchkey-(?!Receive|Report|Undo)"
ANY = "latchkey-"
UNDO = "latchkey-Undo"
REPORT = "latchkey-Re(ceive|port)"
# A permanent failure after everything is created.
LATE: Detail = {"service": "mediatailor", "operation": "ListAlerts", "error": "SomethingInvalid"}
NOTHING: Detail = {"aliases": [], "keys": [], "secrets": [], "locations": []}


@dataclass(frozen=True)
class Kind:
    """A way in which a call fails."""

    name: str
    fault: Detail


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


# Some loops inject a fault at every third call only. With EVERY_FAULT, they inject one at every call.
SAMPLED_STEP = 1 if os.environ.get("EVERY_FAULT") else 3


def profile(*kinds: Kind) -> list[tuple[Kind, ...]]:
    """Returns one loop in which the kinds alternate or, with EVERY_FAULT, one loop per kind."""
    return [(kind,) for kind in kinds] if os.environ.get("EVERY_FAULT") else [kinds]


@dataclass(frozen=True)
class FaultRun:
    """A request whose `call`-th call failed, and its outcome event."""

    call: int
    function: str
    operation: str
    kind: Kind
    detail: Detail
    event: Detail

    def __str__(self) -> str:
        result = json.dumps(self.event["detail"])[:2000]
        return f"{self.kind.name}, call {self.call}, {self.operation} of {self.function}: {result}"

    @property
    def outcome(self) -> str:
        return str(self.event["detail-type"])


class FaultInjection(Onboarding):
    """Sends requests with injected faults to an account whose state machines hardly wait."""

    def __init__(self, aws: Embedded, outcomes: Outcomes) -> None:
        super().__init__(aws, outcomes)
        self.dynamodb = aws.client("dynamodb")
        self.states = aws.client("stepfunctions")
        machines = self.states.list_state_machines()["stateMachines"]
        self._machine = next(one["stateMachineArn"] for one in machines if "Onboard" in one["name"])
        self.table = next(name for name in self.dynamodb.list_tables()["TableNames"] if "AccessTable" in name)
        self._known_keys = self._keys()

    def each_call(
        self, kinds: tuple[Kind, ...], caller: str, detail_of: Callable[[], Detail], *others: Detail, step: int = 1
    ) -> Iterator[FaultRun]:
        """Sends one request for every `step`-th call of `caller`, with a fault at that call, until a request has fewer calls.

        The kinds alternate. Each request also has the faults `others`. Leases that a killed function holds are deleted before
        the next request.
        """
        for call, kind in zip(count(1, step), cycle(kinds), strict=False):
            detail = detail_of()
            for fault in (*others, kind.fault | {"caller": caller, "call": call}):
                self.aws.control("POST", "faults", fault | {"request": detail["requestId"]})
            event = self._outcome(detail, leases_end=kind.fault["error"] == "killed")
            met = [one for one in self.aws.control("GET", "faults") if re.search(caller, one["principal"])]
            self.aws.control("DELETE", "faults")
            if met and met[0]["operation"] == "DeleteItem":
                self.end_leases()
            if not met:
                assert call > 1, f"no call of {caller}"
                assert (event["detail-type"] == "Access Onboarded") is not bool(others), event
                return
            function = met[0]["principal"].split("/latchkey-")[1].split("Function")[0]
            run = FaultRun(call, function, f"{met[0]['service']} {met[0]['operation']}", kind, detail, event)
            _append_to_table(run)
            yield run

    def _outcome(self, detail: Detail, leases_end: bool) -> Detail:
        """Returns the outcome of a request. With `leases_end`, leases of killed functions expire at once."""
        self.put(detail)

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
        row = (run.kind.name, str(run.call), run.function, run.operation, run.outcome)
        with Path(path).open("a") as table:
            table.write("\t".join((*row, run.event["detail"].get("failure", {}).get("name", ""))) + "\n")
