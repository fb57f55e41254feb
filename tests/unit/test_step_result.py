"""The result of a step, and its name for the time from which changes settle in version 0.1.0."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from latchkey.onboarding.step_result import StepResult

EARLIER, LATER = "2026-11-22T08:00:01Z", "2026-11-22T08:05:00Z"


@pytest.mark.parametrize(
    ("members", "settles_from"),
    [
        ({}, None),
        ({"created": None}, None),
        ({"created": EARLIER}, EARLIER),
        ({"settlesFrom": EARLIER}, EARLIER),
        ({"settlesFrom": EARLIER, "created": None}, EARLIER),
        ({"settlesFrom": EARLIER, "created": LATER}, LATER),
        ({"settlesFrom": LATER, "created": EARLIER}, LATER),
    ],
    ids=str,
)
def test_a_result_of_either_version_is_read(members: dict[str, Any], settles_from: str | None) -> None:
    result = StepResult.model_validate_json(json.dumps({"arn": "arn:key", "changed": True} | members))

    assert result.settles_from == (datetime.fromisoformat(settles_from) if settles_from else None)


def test_both_versions_of_the_state_machine_find_the_time() -> None:
    result = StepResult(arn="arn:key", changed=True, settlesFrom=datetime(2026, 11, 22, tzinfo=UTC))

    sent = result.model_dump(mode="json", by_alias=True)
    assert sent["created"] == sent["settlesFrom"] == "2026-11-22T00:00:00Z"


def test_an_unknown_input_is_still_an_error() -> None:
    with pytest.raises(ValueError, match="valid dictionary"):
        StepResult.model_validate([])
