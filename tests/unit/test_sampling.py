"""The samples of tables of cases: every value of every parameter is in them, and WHOLE=1 runs everything."""

import pytest

from tests import sampling
from tests.sampling import each_value, some

SYSTEMS, STEPS, FORMS = ["a", "b", "c", "d", "e", "f", "g"], ["role", "configure", "validate"], [True, False]


@pytest.fixture(params=[False, True], ids=["sample", "whole"])
def whole(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(sampling, "WHOLE", request.param)
    return bool(request.param)


def test_every_value_of_every_parameter_occurs(whole: bool) -> None:
    cases = each_value(SYSTEMS, STEPS, FORMS)

    assert [{*values} for values in zip(*cases, strict=True)] == [{*SYSTEMS}, {*STEPS}, {*FORMS}]
    assert len({*cases}) == len(cases) == (42 if whole else 7)


def test_samples_that_begin_elsewhere_contain_the_others(whole: bool) -> None:
    first, second = some(SYSTEMS, 2), some(SYSTEMS, 2, begin=1)

    assert {*first, *second} == {*SYSTEMS}
    assert (first == second == SYSTEMS) is whole
    assert whole or not {*first} & {*second}
