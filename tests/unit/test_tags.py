"""Tags mark what Latchkey created and what owners approved."""

from __future__ import annotations

import pytest

from latchkey.tags import is_ours, is_ours_or_consented


@pytest.mark.parametrize(
    ("tags", "ours", "usable"),
    [
        ({}, False, False),
        ({"latchkey:managed-by": "latchkey"}, True, True),
        ({"latchkey:managed-by": "terraform"}, False, False),
        ({"latchkey:consent": "adopt"}, False, True),
        ({"latchkey:consent": "import"}, False, False),
        ({"latchkey:managed-by": "latchkey", "latchkey:consent": "import"}, True, True),
    ],
    ids=str,
)
def test_a_resource_is_usable_if_it_is_ours_or_its_owner_consented(tags: dict[str, str], ours: bool, usable: bool) -> None:
    assert is_ours(tags) is ours
    assert is_ours_or_consented(tags) is usable
