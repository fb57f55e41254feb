"""A repair: the steps of an onboarding in the order of the state machine, with the input that decide_repairs has written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from latchkey.errors import InvalidRequest, LatchkeyError, NotYetEffective, PolicyOverwritten
from tests.functions.account import ACCOUNT, REGION
from tests.functions.onboarding_requests import Run

type Result = dict[str, Any]
type Attempt = Callable[[Callable[[], Result]], Result]

ATTACH_ATTEMPTS, WAITS = 6, 3
_EXECUTIONS = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:onboard-access"


def once(step: Callable[[], Result]) -> Result:
    """Runs a step without retries."""
    return step()


class Repair:
    """One execution that repairs an access. `attempt` runs a step as the state machine does, by default once."""

    def __init__(self, run: Run, line: Result, attempt: Attempt = once) -> None:
        self._run, self._attempt, self.input = run, attempt, line["input"]
        self.execution = f"{_EXECUTIONS}:{line['name']}"
        self.error: LatchkeyError | None = None
        self.changed = False

    def carry_out(self) -> str:
        """Returns the detail type of the event that reports the repair."""
        try:
            validated = self._repair()
        except InvalidRequest as error:
            self.error = error
            problems = [{"place": one.path, "rule": one.rule} for one in error.problems]
            return self._report("Request Rejected", caught=_caught(error, json.dumps({"problems": problems})))
        except LatchkeyError as error:
            self.error = error
            undone = self._undo()["undone"]
            return self._report("Request Failed", caught=_caught(error, str(error)), undone=undone)
        members = {name: validated[name] for name in ("checks", "resources", "effectDelaySeconds", "warnings")}
        return self._report(validated["detailType"], changed=self.changed, **members)

    def _repair(self) -> Result:
        asked = self.input | {"executionArn": self.execution}
        plan = self._step("check_request", asked)
        if plan["valueToCheck"]:
            plan = self._step("check_request", asked | self._step("create_secret", self._members()))
        key = self._step("create_key", self._members())
        secret = {"arn": plan["secretArn"], "changed": False}
        if plan["needsSecret"]:
            event = self._members(key=key, ownSecretArn=plan["ownSecretArn"])
            secret = self._step("create_secret", event)
        self.changed |= key["changed"] or secret["changed"]
        for left in reversed(range(ATTACH_ATTEMPTS)):
            attached = self._step("attach_policies", self._members(key=key, secretArn=secret["arn"], repair=True))
            self.changed |= attached["changed"]
            try:
                return self._configure(plan, key | {"settlesFrom": attached["settlesFrom"]}, secret)
            except PolicyOverwritten:
                if not left:
                    raise
        raise AssertionError("unreachable")

    def _configure(self, plan: Result, key: Result, secret: Result) -> Result:
        read = {"keyArn": key["arn"], "secretArn": secret["arn"]}
        if plan["hasResource"]:
            if plan["checksFirst"]:
                self._validate(self._members(**read, configured=False, repair=True))
                rehearsal = self._members(resources=read, status="active", rehearses=True, repair=True)
                self._step("record_access", rehearsal)
            event = self._members(key=key, secretArn=secret["arn"])
            self.changed |= self._step("configure_access", event)["changed"]
        validated = self._validate(self._members(**read, staged=plan["staged"], repair=True))
        reached = {"resources": validated["resources"], "status": validated["status"]}
        self._step("record_access", self._members(**reached, repair=True))
        return validated

    def _validate(self, event: Result) -> Result:
        for _ in range(WAITS):
            try:
                return self._step("validate_access", event)
            except NotYetEffective:
                continue
        return self._step("validate_access", event)

    def _members(self, *, repair: bool = False, **members: Any) -> Result:
        common = {"request": self.input["request"], "tenant": self.input["tenant"], "executionArn": self.execution}
        return common | ({"repair": self.input["repair"]} if repair else {}) | members

    def _step(self, verb: str, event: Result) -> Result:
        return self._attempt(lambda: self._run(verb, event))

    def _undo(self) -> Result:
        """Rolls the repair back. If the state machine cannot, the sweep tries again."""
        try:
            return self._step("undo_onboarding", self._members())
        except LatchkeyError:
            return self._step("undo_onboarding", self._members())

    def _report(self, detail_type: str, **members: Any) -> str:
        names = ("requestId", "contentHash", "eventId", "tenant", "system", "accessId", "repair")
        event = {name: self.input[name] for name in names} | {"executionArn": self.execution, "detailType": detail_type}
        try:
            reported = self._step("report_outcome", event | members)
        except LatchkeyError:  # end-request reports it
            reported = self._step("report_outcome", event | members)
        return str(reported["detailType"])


def _caught(error: LatchkeyError, message: str) -> Result:
    return {"Error": type(error).__name__, "Cause": json.dumps({"errorMessage": message})}
