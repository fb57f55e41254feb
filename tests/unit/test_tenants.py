"""The sender of an event, and the document of a tenant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from latchkey.access.tenants import TenantDocument, Tenants
from latchkey.access.tenants import tenants as tenants_of_stack
from latchkey.aws import clients
from latchkey.aws.parameters import parameters
from latchkey.errors import InvalidRequest, Problem
from latchkey.requests.sender import NO_TENANT, NOT_ALLOWED, Sender, is_about_tenant, sender_of
from tests.unit.samples import ACCOUNT, PARTNERS, SETTINGS, role

STACK = SETTINGS.model_copy(
    update={
        "trusted_principal_patterns": (role("media/*"),),
        "allowed_origin_hosts": ("*.Example.com",),
        "allowed_partner_accounts": PARTNERS,
    }
)


def tenants(document: object) -> Tenants:
    text = document if isinstance(document, str) else json.dumps(document)
    return Tenants(STACK, {"/latchkey/tenants/sports": text}.get)


@pytest.fixture
def ssm() -> Iterator[Any]:
    """A Parameter Store without parameters, and nothing of another one in the caches."""
    caches = (parameters, clients._client)
    with mock_aws():
        for cached in caches:
            cached.cache_clear()
        yield clients.ssm()
    for cached in caches:
        cached.cache_clear()


def broken(document: object) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        tenants(document).document("sports")
    return {problem.path: problem.rule for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("source", "tenant"),
    [
        ("latchkey.requests", "default"),
        ("latchkey.requests.sports", "sports"),
        (f"latchkey.requests.{'a' * 32}", "a" * 32),
        (f"latchkey.requests.{'a' * 33}", NO_TENANT),
        ("latchkey.requests.default", NO_TENANT),
        ("latchkey.requests.mediatailor", NO_TENANT),
        ("latchkey.requests.", NO_TENANT),
        ("latchkey.requests.Sports", NO_TENANT),
        ("latchkey.requests.a.b", NO_TENANT),
        ("latchkey.requests.a/b", NO_TENANT),
        ("latchkey.requests.sports\n", NO_TENANT),
        ("latchkey", NO_TENANT),
    ],
)
def test_the_source_of_an_event_names_its_tenant(source: str, tenant: str) -> None:
    assert sender_of(source, ACCOUNT) == Sender(tenant, ACCOUNT)


def test_every_member_is_optional_and_only_the_default_tenant_needs_no_document() -> None:
    assert tenants({}).document("sports") == tenants({}).document("default") == TenantDocument()
    with pytest.raises(InvalidRequest):
        tenants({}).document("news")


def test_a_tenant_is_known_by_its_document() -> None:
    assert [name for name in ("default", "sports", "news") if tenants({}).is_known(name)] == ["default", "sports"]


def test_the_documents_of_a_stack_are_parameters(ssm: Any) -> None:
    ssm.put_parameter(Name="/latchkey/tenants/sports", Type="String", Value='{"secretPrefix": "latchkey/sports/"}')
    of_stack = tenants_of_stack(STACK)

    assert of_stack.document("sports").secret_prefix == "latchkey/sports/"
    assert [name for name in ("default", "sports", "news") if of_stack.is_known(name)] == ["default", "sports"]


def test_a_document_within_the_stack_is_valid() -> None:
    document = {
        "accounts": [ACCOUNT],
        "trustedPrincipals": [role("media/sports-*")],
        "originHosts": ["*.sports.example.com"],
        "partnerAccounts": [PARTNERS[0]],
        "resources": ["mediatailor/sourceLocation/sports-*"],
        "keyAliases": ["alias/latchkey/sports/*"],
        "secretPrefix": "latchkey/sports/",
    }
    assert tenants(document).document("sports").secret_prefix == "latchkey/sports/"


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"trustedPrincipals": [role("*")]}, "tenant.trustedPrincipals.0"),
        ({"originHosts": ["a.example.com", "*"]}, "tenant.originHosts.1"),
        ({"partnerAccounts": [ACCOUNT]}, "tenant.partnerAccounts.0"),
        ({"secretPrefix": "theirs/"}, "tenant.secretPrefix"),
        ({"keyAliases": ["latchkey/[a]"]}, "tenant.keyAliases.0"),
        ({"resources": "mediatailor/sourceLocation/*"}, "tenant.resources"),
        ({"token": "secret"}, "tenant.<name>"),
        ("[", "tenant"),
        ({"resources": ["mediatailor/sourceLocation/" + "a" * 500] * 20}, "tenant"),
    ],
)
def test_a_document_that_is_wider_or_malformed_is_rejected_with_its_path(document: object, path: str) -> None:
    assert set(broken(document)) == {path}


def test_only_the_accounts_of_a_tenant_can_send_its_requests() -> None:
    tenants({"accounts": [ACCOUNT]}).check_sender(Sender("sports", ACCOUNT))
    with pytest.raises(InvalidRequest) as caught:
        tenants({"accounts": []}).check_sender(Sender("sports", ACCOUNT))
    assert [(problem.path, problem.rule) for problem in caught.value.problems] == [("account", NOT_ALLOWED)]


@pytest.mark.parametrize(
    "account", ["444455556666", ACCOUNT, ""], ids=["another", "that of the stack", "none, without an event"]
)
def test_a_tenant_that_lists_no_accounts_gets_requests_of_the_account_of_the_stack_only(account: str) -> None:
    for tenant in ("sports", "default"):
        sender = Sender(tenant, account)
        if account in (ACCOUNT, ""):
            tenants({}).check_sender(sender)
        else:
            with pytest.raises(InvalidRequest) as caught:
                tenants({}).check_sender(sender)
            assert [(problem.path, problem.rule) for problem in caught.value.problems] == [("account", NOT_ALLOWED)]


def test_a_source_that_names_no_tenant_sends_nothing() -> None:
    with pytest.raises(InvalidRequest) as caught:
        tenants({}).check_sender(Sender(NO_TENANT, ACCOUNT))
    assert [problem.path for problem in caught.value.problems] == ["source"]


@pytest.mark.parametrize(
    ("path", "rule", "about"),
    [
        ("key.alias", NOT_ALLOWED, True),
        ("tenant.originHosts.1", "is wider than the stack parameter AllowedOriginHosts: narrow it", True),
        ("tenant", "must be a JSON object: correct the document of the tenant", True),
        ("source", "names a tenant that does not exist", True),
        ("tenant", "is not a known member: remove it", False),
        ("source", "is not a known member: remove it", False),
        ("resource.baseUrl", "must be an https URL", False),
    ],
)
def test_a_rejection_is_about_the_tenant_or_about_the_request(path: str, rule: str, about: bool) -> None:
    assert is_about_tenant(Problem(path, rule)) is about
