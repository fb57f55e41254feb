"""The classes of interleavings of two requests."""

from collections.abc import Iterator

from tests.workflow.concurrent_requests import Case, Failure, Pair, Run
from tests.workflow.fault_injection import DENIED, FINAL
from tests.workflow.footprints import Footprints, TracedCall
from tests.workflow.interleavings import Exploration, Failing, Result, failing_classes

FIRST, SECOND = {"requestId": "first"}, {"requestId": "second"}


def call(request: str, function: str, operation: str, name: str, status: int = 200) -> TracedCall:
    key = {"Key": {"kind": {"S": "access"}, "id": {"S": name}}, "TableName": "table"}
    return TracedCall(request, f"role/latchkey-{function}Function", "dynamodb", operation, "/", key, status=status)


def first(operation: str, name: str, function: str = "CreateKey", status: int = 200) -> TracedCall:
    return call("first", function, operation, name, status)


def second(operation: str, name: str) -> TracedCall:
    return call("second", "CreateKey", operation, name)


def run(held_at: int, *calls: TracedCall) -> Run:
    return Run(Case("pair", held_at), Pair(FIRST, SECOND), [*calls], is_held=True, outcomes=("Access Onboarded",) * 2)


def test_a_hold_is_equivalent_until_a_call_that_does_not_commute() -> None:
    calls = [first("GetItem", "a"), first("GetItem", "shared"), first("UpdateItem", "b"), first("GetItem", "c")]

    between = [second("UpdateItem", "shared")]
    assert Result.of(run(1, *between, *calls)).end == 2
    assert Result.of(run(3, *calls[:2], *between, *calls[2:])).end == len(calls)


def test_calls_of_the_second_request_after_the_hold_do_not_count() -> None:
    calls = [first("GetItem", "a"), first("GetItem", "shared"), second("UpdateItem", "shared")]

    assert Result.of(run(1, second("GetItem", "a"), *calls)).conflicts == ()


def test_no_hold_follows_the_last_call() -> None:
    result = Result.of(run(2, first("GetItem", "a"), second("UpdateItem", "shared"), first("GetItem", "shared")))

    assert (result.next_holds, result.end) == ([], 2)


def test_failures_between_two_effects_are_one_class() -> None:
    calls = [
        first("GetItem", "a", "ReceiveRequest"),
        first("GetItem", "a"),
        first("UpdateItem", "a", status=400),
        first("UpdateItem", "a"),
        first("GetItem", "a"),
        first("GetItem", "a", "CreateSecret"),
    ]

    assert [one.members for one in failing_classes(calls, Footprints(calls))] == [
        ((4, 3, DENIED.name), (3, 2, DENIED.name), (2, 1, DENIED.name)),
        ((5, 4, DENIED.name), (4, 3, FINAL.name)),
        ((6, 5, DENIED.name),),
    ]


def test_a_result_is_read_as_it_was_written() -> None:
    result = Result.of(run(1, second("UpdateItem", "shared"), first("UpdateItem", "shared"), first("GetItem", "a")))

    assert Result.parse(result.as_json()) == result
    assert result.first


def test_exploration_runs_one_case_of_each_class() -> None:
    """The second request writes what the second of three calls of the first one reads."""
    exploration = Exploration("pair")
    cases = [*_explored(exploration)]

    held = {case.held_at for case in cases}
    assert held == {1, 3, None}
    assert exploration.is_whole
    assert len(cases) == len({*cases}) == exploration.runs
    # The first request is held at one of three calls, or ends first. A later call of it fails, or the call of the second one.
    assert exploration.interleavings == sum(1 + 2 * (later + 1) for later in (3, 2, 1, 3))
    assert {case.failure for case in cases if case.held_at == 3} == {
        None,
        Failure(of_first=True, call=3, kind=DENIED),
        Failure(of_first=True, call=3, kind=FINAL),
        Failure(of_first=False, call=1, kind=DENIED),
        Failure(of_first=False, call=1, kind=FINAL),
    }


def test_another_member_runs_if_a_request_succeeds_although_its_call_fails() -> None:
    exploration = Exploration("pair")
    cases = [*_explored(exploration, survives=Failure(of_first=True, call=3, kind=DENIED))]

    retried = [case.failure for case in cases if case.held_at is None and case.failure and case.failure.of_first]
    assert Failure(of_first=True, call=2, kind=DENIED) in retried


def _explored(exploration: Exploration, survives: Failure | None = None) -> Iterator[Case]:
    parts = exploration.parts()
    wanted = {part: next(part) for part in parts}
    while wanted:
        for part, cases in [*wanted.items()]:
            yield from cases
            try:
                wanted[part] = part.send([_result(case, survives) for case in cases])
            except StopIteration:
                del wanted[part]


def _result(case: Case, survives: Failure | None) -> Result:
    calls = [first("GetItem", "a"), first("GetItem", "shared"), first("UpdateItem", "b")]
    place = len(calls) if case.held_at is None else case.held_at - 1
    made = run(case.held_at or 1, *calls[:place], second("UpdateItem", "shared"), *calls[place:])
    made.case, made.is_held = case, case.held_at is not None
    fails = case.failure is not None and case.failure != survives
    made.outcomes = ("Request Failed",) * 2 if fails else ("Access Onboarded",) * 2
    return Result.of(made)


def test_members_before_the_hold_are_not_later() -> None:
    failing = Failing(((4, 3, DENIED.name), (2, 1, FINAL.name)))

    assert failing.since(3).failures(of_first=True) == [Failure(of_first=True, call=3, kind=DENIED)]
