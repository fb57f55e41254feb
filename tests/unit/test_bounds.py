"""The bounds that the stack parameters set for requests."""

from typing import Any

import pytest

from latchkey.access.bounds import Bounds, allows_host, bounds_problems, partner_rule, principal_rule
from latchkey.access.tenants import TenantDocument
from latchkey.requests.sender import NOT_ALLOWED
from tests.unit.samples import EXISTING_ARN, PARTNERS, SETTINGS, desired, role, user

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


# A stack that allows more than any document of the tests.
OPEN = SETTINGS.model_copy(
    update={
        "trusted_principal_patterns": (role("*"),),
        "allowed_origin_hosts": ("*",),
        "allowed_partner_accounts": PARTNERS,
    }
)
ADOBE = "adobe-experience-platform"


def _of_tenant(**members: Any) -> Bounds:
    return Bounds(OPEN, TenantDocument.model_validate(members))


@pytest.mark.parametrize("kind", ["mediatailor", ADOBE])
def test_a_tenant_without_a_document_has_the_bounds_of_the_stack(kind: str) -> None:
    request = desired({"managementRoles": [role("Manager")]} if kind == "mediatailor" else {}, kind)

    assert [*bounds_problems(request, Bounds(OPEN))] == []


@pytest.mark.parametrize(
    ("members", "changes", "kind", "paths"),
    [
        ({"resources": ["mediatailor/sourceLocation/sports-*"]}, {}, "mediatailor", []),
        ({"resources": ["mediatailor/sourceLocation/news-*"]}, {}, "mediatailor", ["resource"]),
        ({"resources": []}, {}, ADOBE, ["resource"]),
        ({"keyAliases": ["alias/sports/*"]}, {"key.alias": "alias/sports/key"}, "mediatailor", []),
        ({"keyAliases": ["alias/sports/*"]}, {"key.alias": "alias/news/key"}, "mediatailor", ["key.alias"]),
        ({"secretPrefix": "latchkey/sports/"}, {"secret.name": "latchkey/sports/token"}, "mediatailor", []),
        ({"secretPrefix": "latchkey/sports/"}, {"secret.name": "latchkey/news/token"}, "mediatailor", ["secret.name"]),
        (
            {"secretPrefix": "latchkey/sports/"},
            {"secret.value": {"existing": {"secretArn": EXISTING_ARN}}},
            "mediatailor",
            [],
        ),
        ({"trustedPrincipals": [role("sports-*")]}, {"managementRoles": [role("sports-a")]}, "mediatailor", []),
        (
            {"trustedPrincipals": [role("sports-*")]},
            {"managementRoles": [role("sports-a"), role("news")]},
            "mediatailor",
            ["managementRoles.1"],
        ),
        ({"partnerAccounts": [PARTNERS[0]]}, {}, ADOBE, ["resource.partnerStatements.1.Principal.AWS"]),
    ],
)
def test_a_document_narrows_what_its_tenant_can_request(
    members: dict[str, Any], changes: dict[str, Any], kind: str, paths: list[str]
) -> None:
    problems = [*bounds_problems(desired(changes, kind), _of_tenant(**members))]

    assert [problem.path for problem in problems] == paths
    assert {problem.rule for problem in problems} <= {NOT_ALLOWED}


@pytest.mark.parametrize(
    ("hosts", "host", "allowed"),
    [
        (["*.Example.com"], "a.example.com", True),
        (["*.example.com"], "example.org", False),
        ([], "a.example.com", False),
    ],
)
def test_a_document_narrows_the_hosts(hosts: list[str], host: str, allowed: bool) -> None:
    assert allows_host(host, _of_tenant(originHosts=hosts)) is allowed


def test_a_document_allows_nothing_that_the_stack_does_not_allow() -> None:
    document = TenantDocument(trustedPrincipals=(role("*"),), originHosts=("*",), partnerAccounts=PARTNERS)
    bounds = Bounds(SETTINGS, document)

    assert "TrustedPrincipalPatterns" in (principal_rule(role("Manager"), bounds) or "")
    assert "AllowedPartnerAccounts" in (partner_rule(PARTNERS[0], bounds) or "")
    assert not allows_host("origin.example.com", bounds)
