"""Random histories: a grant in use is never revoked, an orphaned one is gone after the grace period and a sweep."""

import os

import pytest

from tests.model.broken import BROKEN
from tests.model.oracle import Wrong
from tests.model.searching import search
from tests.model.wire import Wire

# `make test-model` asks for more.
STEPS = int(os.environ.get("MODEL_STEPS", "2000"))

# What each broken decision does: it revokes what is in use, or leaves what is orphaned.
WRONG = {
    "without the date check": "a grant in use was revoked",
    "without the second look": "a grant in use was revoked",
    "without the constraint check": "is orphaned",
    "with first pages only": "is orphaned",
    "with prefixes for names": "a grant in use was revoked",
}


@pytest.mark.timeout(0)
def test_no_history_revokes_a_grant_in_use_or_leaves_an_orphan(wire: Wire) -> None:
    searched = search(wire, STEPS)
    print(f"{searched.steps} steps, {searched.revoked} revocations, {searched.windows} of them as the owner came back")
    assert searched.steps >= STEPS
    assert searched.revoked > searched.windows > 0


@pytest.mark.parametrize("name", BROKEN)
def test_the_search_finds_what_a_broken_decision_does(wire: Wire, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BROKEN[name](monkeypatch)
    with pytest.raises(Wrong, match=WRONG[name]):
        search(wire, 2000, shrink=False)
