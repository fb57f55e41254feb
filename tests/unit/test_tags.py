"""Tags mark what Latchkey created and what owners approved."""

from __future__ import annotations

import pytest

from latchkey.tags import is_ours, is_ours_or_consented, other_stack


@pytest.mark.parametrize(
    ("tags", "ours", "usable"),
    [
        ({}, False, False),
        ({"latchkey:managed-by": "latchkey"}, True, True),
        ({"latchkey:managed-by": "terraform"}, False, False),
        ({"latchkey:consent": "adopt"}, False, True),
        ({"latchkey:consent": "import"}, False, False),
        ({"latchkey:managed-by": "latchkey", "latchkey:consent": "import"}, True, True),
        ({"latchkey:managed-by": "latchkey", "latchkey:stack": "latchkey"}, True, True),
        ({"latchkey:managed-by": "latchkey", "latchkey:stack": "latchkey-test"}, False, False),
        ({"latchkey:managed-by": "latchkey", "latchkey:stack": "latchkey-test", "latchkey:consent": "adopt"}, False, True),
    ],
    ids=str,
)
def test_a_resource_is_usable_if_it_is_ours_or_its_owner_consented(tags: dict[str, str], ours: bool, usable: bool) -> None:
    assert is_ours(tags, "latchkey") is ours
    assert is_ours_or_consented(tags, "latchkey") is usable


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({}, None),
        ({"latchkey:managed-by": "latchkey"}, None),
        ({"latchkey:managed-by": "latchkey", "latchkey:stack": "latchkey"}, None),
        ({"latchkey:managed-by": "latchkey", "latchkey:stack": "latchkey-test"}, "latchkey-test"),
        ({"latchkey:stack": "latchkey-test"}, None),
    ],
    ids=str,
)
def test_a_resource_belongs_to_another_stack_only_by_both_tags(tags: dict[str, str], found: str | None) -> None:
    assert other_stack(tags, "latchkey") == found
