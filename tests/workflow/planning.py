"""Plans requests and carries them out as planned, and counts the calls of the functions that change something."""

import json
import uuid
from typing import Any

from tests.workflow.account_state import read_state
from tests.workflow.onboarding import Onboarding

# Calls that change nothing, and services whose calls are not planned: the registry, the events and what Lambda itself calls.
READS = ("BatchGet", "Describe", "Get", "List", "Simulate")
NOT_PLANNED = ("dynamodb", "events", "logs", "lambda", "states", "stepfunctions", "sts", "xray", "ssm")
# What services call on behalf of a function, with its role.
ON_BEHALF = {"kms:CreateGrant", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"}
PREFIX = "assumed-role/latchkey-"

Detail = dict[str, Any]


class Planning:
    """Plans requests, and carries them out as planned."""

    def __init__(self, onboarding: Onboarding) -> None:
        self.onboarding, self.aws = onboarding, onboarding.aws

    def plan(self, detail: Detail, kind: str = "Onboarding Requested") -> Detail:
        """The plan of a request, which changes nothing and calls nothing that does."""
        before = self._state()
        self.aws.control("DELETE", "calls")
        event = self._send({**detail, "mode": "plan"}, kind)
        assert event["detail-type"] == "Access Planned", json.dumps(event["detail"], indent=2)
        assert self.changing_calls() == {}
        assert self._state() == before
        planned: Detail = event["detail"]
        return planned

    def follow(self, detail: Detail, plan_hash: str, kind: str = "Onboarding Requested") -> Detail:
        """The outcome event of a request with the hash of a plan."""
        self.aws.control("DELETE", "calls")
        return self._send({**detail, "planHash": plan_hash}, kind)

    def rejected(self, detail: Detail, plan_hash: str, kind: str = "Onboarding Requested") -> str:
        """The rule that the hash of a plan breaks. Nothing is changed but the lock, and no call changes anything."""
        before = self._state()
        event = self.follow(detail, plan_hash, kind)
        assert event["detail-type"] == "Request Rejected", json.dumps(event["detail"], indent=2)
        [error] = event["detail"]["errors"]
        assert error["place"] == "planHash"
        assert self.changing_calls() == {}
        assert self._state() | {"items": []} == before | {"items": []}
        rule: str = error["rule"]
        return rule

    def changing_calls(self) -> dict[str, int]:
        """How often the functions have made each call that changes something."""
        counts: dict[str, int] = {}
        for call in self.aws.control("GET", "calls"):
            name = f"{call['service']}:{call['operation']}"
            is_ours = PREFIX in call["principal"] and call["service"] not in NOT_PLANNED
            if is_ours and not call["operation"].startswith(READS) and name not in ON_BEHALF:
                counts[name] = counts.get(name, 0) + call["count"]
        return counts

    def _send(self, detail: Detail, kind: str) -> Detail:
        request_id = f"request-{uuid.uuid4().hex[:12]}"
        self.onboarding.put({**detail, "requestId": request_id}, kind)
        event: Detail = self.onboarding.outcomes.wait_for(request_id, 120)
        self.onboarding.settle()
        return event

    def _state(self) -> dict[str, Any]:
        """Everything in the account except what every request leaves: its own items, its execution and its log."""
        state = read_state(self.aws)
        items = [item for table in state.pop("items") for item in table if item["kind"]["S"] not in ("request", "plan")]
        for secret, _ in state["secrets"]:
            secret.pop("LastAccessedDate", None)
        return {name: part for name, part in state.items() if name not in ("executions", "logs", "messages")} | {
            "items": sorted(json.dumps(item, sort_keys=True) for item in items)
        }


def counted(plan: Detail) -> dict[str, int]:
    return {call["operation"]: call["count"] for call in plan["calls"]}


def of_kind(plan: Detail, kind: str) -> Detail:
    [found] = [change for change in plan["changes"] if change["kind"] == kind]
    return dict(found)
