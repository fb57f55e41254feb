"""The live check finds every value of every switch of the embedded AWS.

`make test` tries a sample. `make live-check-proof` tries all values and prints what was found.
"""

import dataclasses
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from live_check import leftovers, run
from live_check.asking import ask
from live_check.check import Stage
from live_check.names import new_id
from live_check.points import POINTS, point_named
from live_check.reports import shown
from local_aws.tools.embedded_aws import Embedded
from tests.live_check.cases import CASES, Case, switches
from tests.live_check.conftest import Person

_TABLE = os.environ.get("ASSUMPTION_TABLE")
_TRIED = CASES if os.environ.get("EVERY_ASSUMPTION") else [case for case in CASES if case.in_sample]


@pytest.fixture(scope="module")
def stage(person: Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stack of one run, for all values: a run with a new id asks each point."""
    with pytest.MonkeyPatch.context() as patch:
        clients, first = run.prepare(person.session(patch))
        options = run.Options([], tmp_path_factory.mktemp("results"), person.aws.origin_url, hurry=100)
        yield run.set_up(clients, first, options, "", threading.Event())
        assert run.tear_down(clients) == []


@pytest.mark.parametrize("case", _TRIED, ids=str)
def test_the_value_of_a_switch_is_found(stage: Stage, local: Embedded, case: Case) -> None:
    local.control("PUT", "assumptions", case.assumptions)
    mine = dataclasses.replace(stage, run=dataclasses.replace(stage.run, id=new_id()))

    finding = ask(mine, point_named(case.point), threading.Event(), case.hurry)

    local.control("DELETE", "assumptions")
    assert leftovers.remove(stage.clients, leftovers.find(stage.clients, mine.run.prefix).resources, lambda _: None) == []
    found = finding.answer.value if finding.answer else f"not settled: {finding.reason}"
    if _TABLE:
        with Path(_TABLE).open("a") as table:
            table.write(f"{case.switch}\t{shown(case.value)}\t{shown(found)}\t{case.point}\t{finding.seconds:.1f} s\n")
    assert case.is_found(found), found


def test_every_value_has_a_case() -> None:
    """A number needs at least one case. Every case is about a point that declares the switch."""
    tried: dict[str, list[object]] = {}
    for case in CASES:
        assert point_named(case.point).switch == case.switch
        tried.setdefault(case.switch, []).append(case.value)

    lacking = [switch for switch, values in switches() if switch not in tried or not set(values) <= {*tried[switch]}]
    assert lacking == []


def test_every_point_with_a_switch_has_a_case() -> None:
    assert {case.point for case in CASES} == {point.name for point in POINTS if point.switch}
