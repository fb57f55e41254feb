"""The bounds that the stack parameters set for requests."""

import pytest

from latchkey.onboarding.rules.bounds import Bounds, allows_host, principal_rule
from tests.unit.samples import SETTINGS, role, user

PARTNER = "arn:aws:iam::444455556666:role/Origin"


def _bounds(**members: tuple[str, ...]) -> Bounds:
    return Bounds(SETTINGS.model_copy(update=members))


def test_by_default_no_principal_is_allowed() -> None:
    assert "TrustedPrincipalPatterns" in (principal_rule(role("Manager"), Bounds(SETTINGS)) or "")


@pytest.mark.parametrize(
    ("pattern", "arn", "allowed"),
    [
        (role("*"), role("Manager"), True),
        (role("media/*"), role("media/Manager"), True),
        (role("media/*"), role("Manager"), False),
        (role("*"), user("Manager"), False),
        (role("Manager"), role("manager"), False),
        (role("Manager"), role("Manager2"), False),
    ],
)
def test_a_principal_must_match_a_pattern(pattern: str, arn: str, allowed: bool) -> None:
    assert (principal_rule(arn, _bounds(trusted_principal_patterns=(pattern,))) is None) is allowed


def test_a_pattern_contains_the_account_of_the_principal() -> None:
    assert principal_rule(PARTNER, _bounds(trusted_principal_patterns=(PARTNER,))) is None
    assert principal_rule(PARTNER, _bounds(trusted_principal_patterns=(role("*"),)))


def test_a_pattern_with_only_an_account_allows_nobody() -> None:
    assert principal_rule(PARTNER, _bounds(allowed_partner_accounts=("444455556666",)))


@pytest.mark.parametrize(
    ("pattern", "host", "allowed"),
    [("*", "a.example.com", True), ("*.Example.com", "a.example.com", True), ("*.example.com", "example.com", False)],
)
def test_a_host_must_match_a_pattern(pattern: str, host: str, allowed: bool) -> None:
    assert allows_host(host, _bounds(allowed_origin_hosts=(pattern,))) is allowed


def test_by_default_no_host_is_allowed() -> None:
    assert not allows_host("origin.example.com", Bounds(SETTINGS))
