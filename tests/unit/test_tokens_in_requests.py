"""A token in a request is never repeated in the rejection."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchkey.errors import InvalidRequest
from latchkey.requests.parsing import parse_onboarding
from tests.unit.samples import TOKEN, TOKEN_PLACES, detail


@pytest.mark.parametrize("request_detail", TOKEN_PLACES.values(), ids=TOKEN_PLACES)
def test_a_token_is_not_repeated(request_detail: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_onboarding(request_detail)
    assert TOKEN not in str(caught.value)
    assert TOKEN not in repr(caught.value.problems)
    # The Lambda runtime logs the traceback.
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("parent", ["secret.", "secret.value."])
def test_a_member_name_that_could_be_a_token_is_not_repeated(parent: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_onboarding(detail({f"{parent}abracadabra": True}))
    assert "abracadabra" not in str(caught.value)


def _json(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from([TOKEN, "secret", "value", "generate", "length", "key", "tags", "resource", "token"])
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
    )


@settings(deadline=None, database=None, max_examples=150)
@given(
    places=st.lists(
        st.sampled_from(
            ["secret", "secret.value", "secret.value.generate", "key", "tags", "managementRoles", "notes", "mode", "version"]
        ),
        min_size=1,
        max_size=2,
        unique=True,
    ),
    document=_json(st.sampled_from([TOKEN, f" {TOKEN} ", 7, None, True])),
)
def test_a_token_anywhere_in_any_structure_is_not_repeated(places: list[str], document: Any) -> None:
    request = detail()
    for place in sorted(places, key=len, reverse=True):
        request = _put(request, place, document)
    assert TOKEN not in _rejection_of(request)


def _rejection_of(request: dict[str, Any]) -> str:
    try:
        parse_onboarding(request)
    except InvalidRequest as error:
        return str(error)
    return ""


def _put(request: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """The request with a value at a path; parents on the way are replaced."""
    head, _, rest = place.partition(".")
    below = request.get(head)
    return {**request, head: _put(below if isinstance(below, dict) else {}, rest, value) if rest else value}
