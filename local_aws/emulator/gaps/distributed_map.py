"""Step Functions: distributed Map states in JSONata, whose items are child executions of a Map Run.

https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
"""

import contextvars
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from ministack.core.responses import get_account_id, get_region, now_iso
from ministack.services import stepfunctions

from local_aws.emulator.gaps import machine_roles, map_items, map_results
from local_aws.emulator.gaps.patching import Around, wrap
from local_aws.emulator.gaps.step_functions import EndedError, is_running

# The emulator's limit of children at once, if the state sets none. AWS's is 10,000.
_THREADS = 64


def apply() -> None:
    wrap(stepfunctions, "_run_distributed_map", _run_distributed_map)


def _run_distributed_map(
    original: Around, state: Any, raw_input: Any, effective: Any, iterator: Any, execution: Any, ctx: Any
) -> Any:
    """Gap: JSONata fields, ItemBatcher and ResultWriter are ignored, and children share context and variables with the parent.

    Map Runs have no events and no payload quotas, and do not end when a threshold is exceeded or their parent is stopped.
    """
    if stepfunctions._state_query_language(state, ctx) != "JSONata":
        return original(state, raw_input, effective, iterator, execution, ctx)
    machine = execution["stateMachineArn"]
    machine_roles.require("states:StartExecution", machine)
    machine_roles.require("states:DescribeExecution", f"{machine.replace(':stateMachine:', ':execution:')}:*")
    fields = map_items.Fields(state, raw_input, ctx)
    writer = map_results.writer_of(fields)
    items = map_items.read(fields, effective)
    run = _MapRun(fields, iterator, execution, items)
    results = run.results(writer)
    output = stepfunctions._apply_jsonata_output(state, raw_input, ctx, result=results, default=results)
    stepfunctions._apply_state_assign(state, raw_input, ctx, result=results)
    return output, stepfunctions._next_or_end(state)


class _MapRun:
    """The children of one distributed Map state, and the resource that ListMapRuns, DescribeMapRun and ListExecutions show.

    The role needs StartExecution on the state machine and DescribeExecution on its executions:
    https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
    """

    def __init__(self, fields: map_items.Fields, iterator: Any, parent: Any, items: list[Any]) -> None:
        self._parent, self._iterator, self._ctx = parent, iterator, fields.ctx
        self._inputs = map_items.inputs(fields, items)
        self._tolerated_count = fields.number("ToleratedFailureCount")
        self._tolerated_share = fields.number("ToleratedFailurePercentage")
        self._concurrency = int(fields.number("MaxConcurrency") or 0)
        self._lock, self._exceeded = threading.Lock(), False
        name = parent["stateMachineArn"].rpartition(":")[2]
        self._label = fields.state.get("Label") or str(uuid.uuid4())
        self._base = f"arn:aws:states:{get_region()}:{get_account_id()}"
        self._machine = f"{name}/{self._label}"
        self.id = str(uuid.uuid4())
        self.arn = f"{self._base}:mapRun:{self._machine}:{self.id}"
        self.children: list[dict[str, Any] | None] = [None] * len(self._inputs)
        self._counts = [
            dict.fromkeys(("running", "succeeded", "failed", "timedOut", "aborted", "resultsWritten"), 0)
            | {"failuresNotRedrivable": 0, "pendingRedrive": 0, "total": total, "pending": total}
            for total in (len(items), len(self._inputs))
        ]
        self.view = {
            "mapRunArn": self.arn,
            "executionArn": parent["executionArn"],
            "status": "RUNNING",
            "startDate": now_iso(),
            "maxConcurrency": self._concurrency,
            "toleratedFailureCount": int(self._tolerated_count or 0),
            "toleratedFailurePercentage": float(self._tolerated_share or 0),
            "itemCounts": self._counts[0],
            "executionCounts": self._counts[1],
            "redriveCount": 0,
            "_stateMachineArn": f"{self._base}:stateMachine:{self._machine}",
        }

    def results(self, writer: map_results.Writer) -> Any:
        """Runs all children and returns the result of the state. Raises an error of Step Functions if the Map Run fails."""
        stepfunctions._map_runs[self.arn] = self.view
        stepfunctions._add_event(self._parent, "MapRunStarted", {"mapRunStartedEventDetails": {"mapRunArn": self.arn}})
        threads = self._concurrency or min(len(self._inputs), _THREADS) or 1
        with ThreadPoolExecutor(max_workers=threads) as pool:
            wait([pool.submit(contextvars.copy_context().run, self._run_child, n) for n in range(len(self._inputs))])
        try:
            written = writer.write(self.arn, self.id, self.children)
        except stepfunctions._ExecutionError as failed:
            self._end("FAILED", failed)
            raise
        if not is_running(self._parent):
            self._end("ABORTED")
            raise EndedError
        if self._exceeded:
            text = "The specified tolerated failure threshold was exceeded"
            error = stepfunctions._ExecutionError("States.ExceedToleratedFailureThreshold", text)
            self._end("FAILED", error)
            raise error
        self._end("SUCCEEDED")
        return written

    def _end(self, status: str, error: Any = None) -> None:
        self.view |= {"status": status, "stopDate": now_iso()}
        details = {"mapRunFailedEventDetails": {"error": error.error, "cause": error.cause}} if error else None
        if is_running(self._parent):
            stepfunctions._add_event(self._parent, f"MapRun{status.capitalize()}", details)

    def _run_child(self, number: int) -> None:
        """Runs one child, unless the Map Run is over: Step Functions starts no child after it."""
        given, items = self._inputs[number]
        if self._exceeded or not is_running(self._parent):
            self._count(items, "pending", "aborted")
            return
        child = self._child(given)
        self.children[number] = child
        self._count(items, "pending", "running")
        # A child has a context object and variables of its own:
        # https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html#variable-scope
        ctx = {
            "QueryLanguage": self._ctx.get("QueryLanguage", "JSONPath"),
            "Execution": {"Id": child["executionArn"], "Input": given, "Name": child["name"], "StartTime": child["startDate"]},
            "StateMachine": {"Id": child["stateMachineArn"], "Name": self._machine},
            "variables": {},
        }
        try:
            output = stepfunctions._run_sub_machine(self._iterator["States"], self._iterator["StartAt"], given, child, ctx)
            self._settle(child, items, {"status": "SUCCEEDED", "output": json.dumps(output)})
        except EndedError:
            self._settle(child, items, {"status": "ABORTED"})
        except Exception as caught:
            known = isinstance(caught, stepfunctions._ExecutionError)
            error: Any = caught if known else stepfunctions._ExecutionError("States.Runtime", str(caught))
            self._settle(child, items, {"status": "FAILED", "error": error.error, "cause": error.cause})

    def _child(self, given: Any) -> dict[str, Any]:
        name, started = str(uuid.uuid4()), now_iso()
        child = {
            "executionArn": f"{self._base}:execution:{self._machine}:{name}",
            "stateMachineArn": self.view["_stateMachineArn"],
            "mapRunArn": self.arn,
            "name": name,
            "status": "RUNNING",
            "startDate": started,
            "stopDate": None,
            "input": json.dumps(given),
            "inputDetails": {"included": True},
            "output": None,
            "outputDetails": {"included": True},
            "testCase": "",
            "mockAttempts": {},
            "events": [],
            "_parent": self._parent,
        }
        details = {"executionStartedEventDetails": {"input": child["input"]}}
        stepfunctions._add_event(child, "ExecutionStarted", details)
        stepfunctions._executions[child["executionArn"]] = child
        return child

    def _settle(self, child: dict[str, Any], items: int, ended: dict[str, Any]) -> None:
        """Records the end of a child. If more failed than is tolerated, aborts the children that run."""
        with self._lock:
            if child["status"] == "RUNNING":
                child |= ended | {"stopDate": now_iso()}
                stepfunctions._add_event(child, f"Execution{child['status'].capitalize()}")
        self._count(items, "running", {"SUCCEEDED": "succeeded", "FAILED": "failed"}.get(child["status"], "aborted"))
        if child["status"] == "FAILED" and not self._exceeded and self._is_exceeded():
            self._exceeded = True
            for other in list(self.children):
                if other and other["status"] == "RUNNING":
                    other |= {"status": "ABORTED", "stopDate": now_iso()}

    def _count(self, items: int, before: str, after: str) -> None:
        with self._lock:
            for counts, number in zip(self._counts, (items, 1), strict=True):
                counts[before] -= number
                counts[after] += number

    def _is_exceeded(self) -> bool:
        """Returns whether either threshold is exceeded. Without a threshold, no failure is tolerated."""
        counts = self._counts[0]
        if self._tolerated_count is None and self._tolerated_share is None:
            return True
        over_count = self._tolerated_count is not None and counts["failed"] > self._tolerated_count
        over_share = self._tolerated_share is not None and counts["failed"] * 100 > self._tolerated_share * counts["total"]
        return over_count or over_share
