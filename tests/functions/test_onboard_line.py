"""onboard_line: the request of a line starts once, and has the outcome of its execution."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from latchkey.aws.rates import COMMON
from latchkey.errors import NotYetEffective
from latchkey.registry import registry
from latchkey.registry.requests import RequestRef
from latchkey.systems import SYSTEMS
from tests.functions.account import ACCOUNT, REGION, Account, client
from tests.functions.onboarding_requests import Run, onboarding
from tests.sampling import WHOLE

HASH = "c" * 64
CONTENT = {"requestId": "request-1", "contentHash": HASH, "eventId": "event-1.7", "request": onboarding()}
# The line before and after its reserved time has come.
NEW = {"line": 7, "content": CONTENT}
LINE = NEW | {"reserved": True}
REJECTION = {
    "accessId": "mediatailor/sourceLocation/sports-origin",
    "status": "rejected",
    "changed": False,
    "errors": [{"place": "key.alias", "rule": "is reserved"}],
}


@pytest.fixture(autouse=True)
def _machine(account: Account) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/machine"
    client("stepfunctions").create_state_machine(name="onboard-access", definition='{"States": {}}', roleArn=role)


def executions() -> list[dict[str, Any]]:
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:onboard-access"
    stepfunctions = client("stepfunctions")
    listed = stepfunctions.list_executions(stateMachineArn=arn)["executions"]
    return [stepfunctions.describe_execution(executionArn=each["executionArn"]) for each in listed]


def end(detail_type: str = "Request Rejected", **detail: Any) -> None:
    outcome = json.dumps(REJECTION | detail)
    registry().requests.record_outcome(RequestRef("request-1", HASH), "outcome", detail_type, outcome)


def test_the_request_is_recorded_and_started(run: Run) -> None:
    assert run("onboard_line", NEW) == {"result": None, "waitSeconds": 0}
    assert executions() == []
    assert run("onboard_line", LINE) == {"result": None, "waitSeconds": 0}

    [execution] = executions()
    received = registry().requests.received("request-1")
    assert received
    assert received.event_id == "event-1.7"
    assert json.loads(execution["input"])["request"]["resource"] == onboarding()["resource"]


def test_a_second_attempt_starts_nothing(run: Run) -> None:
    run("onboard_line", LINE)
    run("onboard_line", LINE)

    assert len(executions()) == 1


def test_an_outcome_is_the_result_and_starts_nothing(run: Run) -> None:
    end()

    result = run("onboard_line", LINE)["result"]

    assert executions() == []
    assert (result["line"], result["requestId"], result["outcome"]) == (7, "request-1", "Request Rejected")
    assert (result["status"], result["changed"], result["errors"]) == ("rejected", False, REJECTION["errors"])


def test_a_failure_and_a_plan_are_part_of_the_result(run: Run) -> None:
    end("Request Failed", failure={"name": "AccessDenied", "message": "denied"}, planHash="p" * 64)

    result = run("onboard_line", LINE)["result"]

    assert result["failure"] == {"name": "AccessDenied", "message": "denied"}
    assert result["planHash"] == "p" * 64


def test_a_started_request_without_an_outcome_is_waited_for(run: Run) -> None:
    run("onboard_line", LINE)
    with pytest.raises(NotYetEffective):
        run("onboard_line", LINE | {"started": True})
    end()

    assert run("onboard_line", LINE | {"started": True})["result"]


def test_a_request_id_of_other_content_is_rejected_under_the_id_of_the_line(run: Run) -> None:
    registry().requests.receive(RequestRef("request-1", "d" * 64), "event-0", "arn:aws:states:one")

    run("onboard_line", LINE)

    [execution] = executions()
    content = json.loads(execution["input"])
    assert (content["requestId"], content["request"]) == ("event-1.7", None)
    assert [problem["place"] for problem in content["problems"]] == ["requestId"]


def line(number: int, system: str = "mediatailor") -> dict[str, Any]:
    request = onboarding(system) | {"requestId": f"request-{number}"}
    content = {"requestId": f"request-{number}", "contentHash": HASH, "eventId": f"event-1.{number}", "request": request}
    return {"line": number, "content": content}


def waits(run: Run, *lines: dict[str, Any]) -> list[int]:
    return [run("onboard_line", each)["waitSeconds"] for each in lines]


def planned(last: int = 4) -> list[datetime]:
    """When the lines up to the last one start."""
    found = [registry().requests.planned_start(RequestRef(f"request-{one}", HASH)).starts_at for one in range(1, last + 1)]
    return [each for each in found if each]


def starts() -> list[float]:
    """When the lines start, in seconds since the first one."""
    return [round((each - planned()[0]).total_seconds(), 2) for each in planned()]


def test_the_lines_of_a_system_start_at_the_pace_of_its_scarcest_quota(run: Run) -> None:
    waits(run, *(line(number) for number in range(1, 5)))

    assert starts() == [0, 1, 2, 3]


def test_lines_of_different_systems_share_only_the_quotas_of_kms(run: Run) -> None:
    waits(run, line(1, "mediaconnect"), line(2, "mediapackage"), line(3, "mediaconnect"), line(4, "mediapackagev2"))

    assert starts() == [0, 0.2, 2.4, 0.6]


def test_a_raised_quota_lets_lines_start_sooner(run: Run, stack: Callable[..., None]) -> None:
    stack(RAISED_QUOTAS="mediatailor-create=5, mediatailor-update=5,mediatailor-describe=25")

    waits(run, *(line(number) for number in range(1, 5)))

    assert starts() == [0, 0.2, 0.4, 0.6]


def test_a_reserved_time_that_has_not_passed_is_kept(run: Run) -> None:
    """As after the state machine was stopped: the slots of the lines that have not started are not lost."""
    lines = [line(number) for number in range(1, 5)]
    waits(run, *lines)
    before = planned()

    again = waits(run, *reversed(lines[1:]))

    assert planned() == before
    assert again == sorted(again, reverse=True)


def test_a_time_that_has_passed_is_reserved_again(run: Run) -> None:
    waits(run, line(1))
    registry().requests.plan_start(RequestRef("request-1", HASH), datetime(2026, 1, 1, tzinfo=UTC))

    waits(run, line(1))

    assert registry().requests.planned_start(RequestRef("request-1", HASH)).starts_at != datetime(2026, 1, 1, tzinfo=UTC)


def test_a_request_whose_execution_has_begun_reserves_nothing(run: Run, account: Account) -> None:
    waits(run, line(1))
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:onboard-access:{executions_name(run)}"
    registry().requests.claim(RequestRef("request-1", HASH), arn)
    before = account.items("slot")

    assert waits(run, line(1)) == [0]
    assert account.items("slot") == before


def executions_name(run: Run) -> str:
    """The name of the execution of the first line, which this starts."""
    run("onboard_line", line(1) | {"reserved": True})
    [execution] = executions()
    name: str = execution["name"]
    return name


def test_a_rejected_line_reserves_nothing(run: Run, account: Account) -> None:
    rejected = {"problems": [{"place": "resource", "rule": "is missing"}], "request": None}

    assert waits(run, {"line": 1, "content": CONTENT | rejected}) == [0]
    assert account.items("slot") == []


def test_callers_that_begin_a_row_of_slots_at_the_same_time_get_different_ones(account: Account) -> None:
    slots, now = registry().slots, datetime.now(UTC)

    reserved = [slots.reserve("mediatailor-create", 1000, now) for _ in range(3)]

    assert [round((each - reserved[0]).total_seconds(), 1) for each in reserved] == [0, 1, 2]


def test_a_whole_manifest_uses_its_scarcest_quota_and_exceeds_none(run: Run, account: Account) -> None:
    """In modelled time: each line calls as often as the quotas expect, from its reserved start. Every tenth line is bad, and
    the state machine is stopped after half of the lines have reserved their start.
    """
    number = 200 if WHOLE else 20
    bad = {"problems": [{"place": "resource.header", "rule": "is missing"}], "request": None}
    lines = [line(one) for one in range(1, number + 1)]
    lines = [one | {"content": one["content"] | bad} if one["line"] % 10 == 0 else one for one in lines]
    waits(run, *lines[: number // 2])

    waits(run, *lines)

    began = sorted(planned(number))
    assert len(began) == number * 9 // 10
    configuration = SYSTEMS["mediatailor"].configuration
    assert configuration
    for quota in (*COMMON, *configuration.quotas):
        interval = quota.calls / quota.per_second
        assert min((after - before).total_seconds() for before, after in pairwise(began)) >= interval - 0.002
    # The first line reserves its start again if that has passed, so that one slot can be unused.
    used = (len(began) - 1) / (began[-1] - began[0]).total_seconds()
    assert used >= (0.95 if WHOLE else 0.9)
