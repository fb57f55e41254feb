"""In random histories, no used grant is revoked, and every orphan is revoked after the grace period and a sweep."""

from collections.abc import Callable

import pytest

from tests.model.broken_decisions import BROKEN
from tests.model.in_process_aws import InProcessAws
from tests.model.oracle import WrongDecision
from tests.model.search import search
from tests.sampling import WHOLE

# `make test-model` runs the whole.
STEPS = 50_000 if WHOLE else 600

# The effect of each broken decision: it revokes a used grant or leaves an orphan.
WRONG = {
    "without the date check": "a grant in use was revoked",
    "without the second look": "a grant in use was revoked",
    "without the constraint check": "is orphaned",
    "with first pages only": "is orphaned",
    "with prefixes for names": "a grant in use was revoked",
}
# Sequences of histories that find these soon. After a change of the histories, their search can take a minute.
SEQUENCES = {"without the date check": 2, "without the second look": 6}


@pytest.mark.timeout(0)
def test_no_history_revokes_a_used_grant_or_leaves_an_orphan(
    aws: InProcessAws, record_property: Callable[[str, object], None]
) -> None:
    searched = search(aws, STEPS)
    print(f"{searched.steps} steps, {searched.revoked} revocations, {searched.windows} of them as the owner came back")
    assert searched.steps >= STEPS
    assert searched.revoked > searched.windows > 0
    record_property("sample", f"{STEPS} of 50000 steps of random histories")


@pytest.mark.parametrize("name", BROKEN)
def test_search_finds_the_fault_of_a_broken_decision(aws: InProcessAws, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BROKEN[name](monkeypatch)
    with pytest.raises(WrongDecision, match=WRONG[name]):
        search(aws, 8000, shrink=False, sequence=SEQUENCES.get(name))  # ends with the first fault
