"""Requests that are about no single access."""

from typing import Any

import pytest

from latchkey.onboarding.receive_request import RequestEvent, execution_input
from latchkey.registry.execution_input import ExecutionInput
from latchkey.requests.lifecycle import (
    BULK_ONBOARDING_REQUESTED,
    DISCOVERY_REQUESTED,
    BulkOnboardingRequested,
    DiscoveryRequested,
)

MANIFEST = {"key": "manifests/channels.jsonl"}


def received(detail: Any, kind: str = BULK_ONBOARDING_REQUESTED) -> ExecutionInput:
    """The input of the execution for a request, by default a bulk request, as its state machine receives it."""
    event = RequestEvent.model_validate({"id": "event-1", "detail-type": kind, "detail": detail})
    return ExecutionInput.model_validate_json(execution_input(event, lambda _: None).model_dump_json(by_alias=True))


def test_a_bulk_request_is_about_no_access() -> None:
    content = received({"requestId": "bulk-1", "manifest": MANIFEST})

    assert content.asked == BulkOnboardingRequested(requestId="bulk-1", manifest=content.asked.manifest)  # type: ignore[union-attr]
    assert (content.kind, content.request, content.access_id, content.system) == (BULK_ONBOARDING_REQUESTED, None, None, None)


def test_a_bulk_request_has_only_the_members_that_were_sent() -> None:
    content = received({"manifest": MANIFEST})

    assert content.asked
    assert content.asked.wire == {"requestId": "event-1", "manifest": MANIFEST}


@pytest.mark.parametrize(
    ("detail", "place"),
    [
        ({}, "manifest"),
        ({"manifest": "manifests/channels.jsonl"}, "manifest"),
        ({"manifest": {}}, "manifest.key"),
        ({"manifest": {"key": ""}}, "manifest.key"),
        ({"manifest": MANIFEST | {"versionId": 1}}, "manifest.versionId"),
        ({"manifest": MANIFEST, "mode": "destroy"}, "mode"),
        ({"manifest": MANIFEST, "system": "mediatailor"}, "system"),
    ],
)
def test_bad_input_has_a_problem_and_its_kind_is_that_of_an_onboarding(detail: dict[str, Any], place: str) -> None:
    """The state machine of onboardings rejects what cannot be parsed."""
    content = received(detail)

    assert [problem.path for problem in content.problems] == [place]
    assert (content.asked, content.kind) == (None, "Onboarding Requested")


@pytest.mark.parametrize("scope", [{}, {"system": "mediatailor"}])
def test_a_discovery_is_about_one_system_or_all(scope: dict[str, Any]) -> None:
    content = received(scope, DISCOVERY_REQUESTED)

    assert content.asked == DiscoveryRequested(requestId="event-1", **scope)
    assert (content.kind, content.request, content.access_id) == (DISCOVERY_REQUESTED, None, None)
    assert content.system == scope.get("system")


@pytest.mark.parametrize(
    ("detail", "place"),
    [
        ({"system": "medialive"}, "system"),
        ({"system": "adobe-experience-platform"}, "system"),  # no API shows which data sets use a key
        ({"system": ["mediatailor"]}, "system"),
        ({"accessId": "mediatailor/sourceLocation/one"}, "<name>"),
        ({"mode": "plan"}, "mode"),
    ],
)
def test_a_discovery_of_an_unknown_scope_has_a_problem(detail: dict[str, Any], place: str) -> None:
    assert [problem.path for problem in received(detail, DISCOVERY_REQUESTED).problems] == [place]
