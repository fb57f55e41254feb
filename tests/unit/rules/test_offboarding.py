"""The rules of an offboarding, and what it does with the resource."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from latchkey.access.desired import Desired
from latchkey.access.former_settings import FormerSettings, former_settings
from latchkey.access.offboarded import Offboarded
from latchkey.offboarding.resource_change import ASKED, CREATED, NOT_RECORDED, OWNERS, change_of
from latchkey.offboarding.rules import OffboardingEvidence, offboarding_problems, partner_problems
from latchkey.requests.lifecycle import OffboardingRequested
from latchkey.systems.system import Configured
from tests.unit.rules.samples import ADOBE, ADOPT, SPORTS, configured, key, paths, rules, secret
from tests.unit.samples import SECRET_ARN, desired

NOT_OURS: dict[str, str] = {}


def asked(**members: Any) -> OffboardingRequested:
    return OffboardingRequested.model_validate({"requestId": "offboard-1", "accessId": SPORTS} | members)


def location(**members: Any) -> Configured:
    """A source location that sends the token."""
    return replace(configured(desired(), SECRET_ARN), full_settings={"SourceLocationName": "sports-origin"}, **members)


def problems(request: Desired | None = None, ask: OffboardingRequested | None = None, **members: Any) -> list[str]:
    known: dict[str, Any] = {"owner_tags": ADOPT, "present": location()}
    evidence = OffboardingEvidence(**known | members)
    return paths(offboarding_problems(request or desired(), ask or asked(), evidence))


def test_an_adopted_location_can_be_offboarded() -> None:
    assert problems(keys=(key(),), secrets=(secret(),)) == []


def test_the_access_of_a_partner_is_rejected() -> None:
    assert paths(partner_problems(desired(kind=ADOBE))) == ["accessId"]
    assert paths(partner_problems(desired())) == []


def test_a_replicated_secret_is_rejected_only_if_it_would_be_deleted() -> None:
    replicated = secret(primary_region="us-east-1")
    assert problems(secrets=(replicated,)) == []
    assert problems(secrets=(replicated,), deletes=frozenset({replicated.arn})) == ["accessId"]


@pytest.mark.parametrize(
    ("choice", "expected"), [("detach", ["resource"]), ("delete", ["resource"]), ("restore", []), ("leave", [])]
)
def test_what_its_owner_configures_is_only_left(choice: str, expected: list[str]) -> None:
    assert problems(desired({"resource.configure": False}), asked(resource=choice)) == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"created": True}, []),
        ({"created": False}, ["resource"]),
        ({"created": True, "contents": ("vodSource/film",)}, ["resource"]),
        ({"present": None}, []),
    ],
)
def test_only_an_empty_location_of_latchkey_is_deleted(members: dict[str, Any], expected: list[str]) -> None:
    assert problems(None, asked(resource="delete"), **members) == expected


def test_of_many_contents_ten_are_named() -> None:
    evidence = OffboardingEvidence(present=location(), created=True, contents=tuple(f"source-{i}" for i in range(11)))
    ((_, rule),) = rules(offboarding_problems(desired(), asked(resource="delete"), evidence))
    assert "source-9 and more" in rule
    assert "source-10" not in rule


@pytest.mark.parametrize(
    ("members", "choice", "expected"),
    [
        ({"owner_tags": NOT_OURS}, "restore", ["resource"]),
        ({"owner_tags": NOT_OURS}, "leave", []),
        ({"owner_tags": NOT_OURS, "created": True}, "restore", []),
        ({"keys": (key(NOT_OURS),)}, "restore", ["key"]),
        ({"secrets": (secret(NOT_OURS),)}, "restore", ["secret"]),
        ({"keys": (key(ADOPT),), "secrets": (secret(ADOPT),)}, "restore", []),
    ],
)
def test_only_what_is_ours_or_approved_is_changed(members: dict[str, Any], choice: str, expected: list[str]) -> None:
    assert problems(None, asked(resource=choice), **members) == expected


@pytest.mark.parametrize(
    ("choice", "created", "action", "reason"),
    [
        ("restore", False, "detach", NOT_RECORDED),
        ("restore", True, "detach", CREATED),
        ("detach", False, "detach", ""),
        ("leave", False, "leave", ASKED),
        ("delete", True, "delete", ""),
    ],
)
def test_a_location_without_former_settings(choice: Any, created: bool, action: str, reason: str) -> None:
    change = change_of(desired(), choice, location(), None, created=created)
    assert (change.action, change.reason, change.changes) == (action, reason, action != "leave")


def test_what_does_not_use_the_secret_needs_no_change() -> None:
    assert change_of(desired(), "restore", None, None, created=False).action == "none"
    assert change_of(desired(), "restore", configured(desired()), None, created=False).action == "none"


def test_what_its_owner_configures_and_reads_stays() -> None:
    change = change_of(desired({"resource.configure": False}), "restore", location(), None, created=False)
    assert (change.action, change.reason) == ("leave", OWNERS)


FOUND, LEFT = {"Name": "news", "Url": "https://former"}, {"Name": "news", "Url": "https://ours"}


def test_the_first_onboarding_notes_what_it_found() -> None:
    configuration = desired().system.configuration
    assert configuration is not None
    assert former_settings(configuration, None, FOUND, LEFT) == FormerSettings(FOUND, LEFT)
    created = FormerSettings(None, LEFT)
    assert former_settings(configuration, created, LEFT, LEFT) == FormerSettings(LEFT, LEFT)
    assert former_settings(configuration, FormerSettings(FOUND, None), LEFT, LEFT) == FormerSettings(LEFT, LEFT)


def test_a_later_onboarding_keeps_what_the_first_one_found() -> None:
    configuration = desired().system.configuration
    assert configuration is not None
    former, ours = ({"HttpConfiguration": {"BaseUrl": f"https://{name}.example.com"}} for name in ("former", "ours"))
    assert former_settings(configuration, FormerSettings(former, ours), ours, ours) == FormerSettings(former, ours)


@pytest.mark.parametrize("ends", [None, datetime(2026, 12, 27, tzinfo=UTC)])
def test_an_offboarded_access_is_read_as_it_was_written(ends: datetime | None) -> None:
    record = Offboarded("offboard-1", datetime(2026, 11, 27, tzinfo=UTC), False, SECRET_ARN, ends, None, 7)
    assert Offboarded.of(record.wire) == record
