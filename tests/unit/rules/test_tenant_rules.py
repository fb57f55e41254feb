"""Rules between tenants: what belongs to another tenant cannot be used, and its default names cannot be taken."""

from __future__ import annotations

from typing import Any

import pytest

from latchkey.access.desired import Desired, desire
from latchkey.onboarding.rules.evidence import (
    ConsentEvidence,
    ConsentTarget,
    FormerSecretEvidence,
    RequestEvidence,
    ResourceEvidence,
    RoleEvidence,
    SourceEvidence,
)
from latchkey.onboarding.rules.tenants import is_foreign_access, name_problems, tenant_problems
from latchkey.requests.parsing import parse_onboarding
from latchkey.requests.sender import NOT_ALLOWED
from latchkey.tags import TENANT
from tests.unit.rules.samples import configured, key, key_evidence, paths, record, rules, secret, secret_evidence
from tests.unit.rules.test_resource import role_evidence
from tests.unit.samples import EXISTING_ARN, KEY_ARN, SETTINGS, desired, detail

SPORTS, NEWS = {TENANT: "sports"}, {TENANT: "news"}
EXISTING = {"secret.value": {"existing": {"secretArn": EXISTING_ARN}}}
COPY = {"secret.value": {"copyFrom": {"secretArn": EXISTING_ARN}}}


def of(tenant: str, changes: dict[str, Any] | None = None, kind: str = "mediatailor") -> Desired:
    return desire(parse_onboarding(detail(changes, kind)), SETTINGS, tenant)


def found(request: Desired, used_by: dict[str, str] | None = None, **evidence: Any) -> list[str]:
    """The paths of the parts that belong to another tenant. Every rule is the same, so that it reveals nothing."""
    problems = [*tenant_problems(request, RequestEvidence(**evidence), (used_by or {}).get)]
    assert {rule for _, rule in rules(problems)} <= {NOT_ALLOWED}
    return paths(problems)


@pytest.mark.parametrize(
    ("tenant", "tags", "foreign"),
    [
        ("sports", SPORTS, False),
        ("sports", NEWS, True),
        ("sports", {}, True),
        ("default", {}, False),
        ("default", {TENANT: "default"}, False),
        ("default", NEWS, True),
    ],
)
def test_what_another_tenant_owns_by_its_tag_is_not_used(tenant: str, tags: dict[str, str], foreign: bool) -> None:
    def paths_if_foreign(*names: str) -> list[str]:
        return sorted(names) if foreign else []

    own_key = key_evidence(key(tags))
    assert found(of(tenant), key=own_key) == paths_if_foreign("key.alias")
    assert found(of(tenant, {"key.arn": KEY_ARN}), key=own_key) == paths_if_foreign("key.arn")
    assert found(of(tenant), secret=secret_evidence(secret(tags))) == paths_if_foreign("secret.name")
    existing = of(tenant, EXISTING)
    assert found(existing, secret=secret_evidence(secret(tags))) == paths_if_foreign("secret.value.existing.secretArn")
    source = SourceEvidence(region_exists=True, secret=secret(tags))
    assert found(of(tenant, COPY), source=source) == paths_if_foreign("secret.value.copyFrom.secretArn")
    assert found(of(tenant, kind="mediapackage"), role=_role(tags)) == paths_if_foreign("resource")
    location = ResourceEvidence(configured(desired(), tags=tags))
    assert found(of(tenant), resource=location) == paths_if_foreign("resource")
    keeping = of(tenant, {"resource.otherSecrets": [EXISTING_ARN]}, "mediapackagev2")
    other = {EXISTING_ARN: FormerSecretEvidence(EXISTING_ARN, tags=tags)}
    assert found(keeping, other_secrets=other) == paths_if_foreign("resource.otherSecrets.0")
    part = ResourceEvidence(configured(desired()), ConsentTarget("arn:target", tags))
    assert found(of(tenant), resource=part) == paths_if_foreign("resource")


def _role(tags: dict[str, str]) -> RoleEvidence:
    evidence = role_evidence("mediapackage/originEndpoint/sports-hls", referred=True)
    evidence.role.tags.clear()
    evidence.role.tags.update(tags)
    return evidence


def test_a_key_or_secret_that_accesses_of_another_tenant_use_is_not_used() -> None:
    request = of("sports")
    own = {"key": key_evidence(key(SPORTS)), "secret": secret_evidence(secret(SPORTS))}

    assert found(request, {KEY_ARN: "sports", request.secret_resource: "sports"}, **own) == []
    assert found(request, {KEY_ARN: "news", request.secret_resource: "sports"}, **own) == ["key.alias"]
    assert found(request, {KEY_ARN: "sports", request.secret_resource: "news"}, **own) == ["secret.name"]


def test_a_secret_that_is_gone_still_belongs_to_the_tenant_whose_accesses_use_it() -> None:
    request = of("sports")

    assert found(request, {request.secret_resource: "news"}) == ["secret.name"]


def test_a_system_without_a_secret_has_none_that_another_tenant_uses() -> None:
    assert found(of("sports", kind="adobe-experience-platform"), dict.fromkeys(["", KEY_ARN], "news")) == []


@pytest.mark.parametrize(("tags", "foreign"), [(SPORTS, False), ({}, False), (NEWS, True), ({TENANT: "default"}, True)])
def test_the_resource_of_a_recorded_access_belongs_to_its_tenant_unless_its_tag_names_another(
    tags: dict[str, str], foreign: bool
) -> None:
    """The owner can delete a resource and create another one with the same name for another tenant."""
    location = ResourceEvidence(configured(desired(), tags=tags))
    part = ResourceEvidence(configured(desired()), ConsentTarget("arn:target", tags), needs_consent=False)

    assert found(of("sports"), resource=location, record=record()) == (["resource"] if foreign else [])
    assert found(of("sports"), resource=part, record=record()) == (["resource"] if foreign else [])


@pytest.mark.parametrize(
    ("key_tags", "secret_tags", "foreign"),
    [(SPORTS, SPORTS, False), (NEWS, SPORTS, True), (SPORTS, NEWS, True), (None, None, False)],
)
def test_an_access_is_foreign_if_its_key_or_its_secret_belongs_to_another_tenant(
    key_tags: dict[str, str] | None, secret_tags: dict[str, str] | None, foreign: bool
) -> None:
    evidence = ConsentEvidence(key=key(key_tags) if key_tags else None, secret=secret(secret_tags) if secret_tags else None)

    assert is_foreign_access(of("sports"), evidence) is foreign


def test_a_resource_that_does_not_exist_belongs_to_nobody() -> None:
    assert found(of("sports"), resource=ResourceEvidence(None, ConsentTarget("arn:target", NEWS))) == []


@pytest.mark.parametrize(
    ("tenant", "name", "reserved"),
    [
        ("sports", "latchkey/sports/key", False),
        ("sports", "latchkey/news/key", True),
        ("sports", "latchkey/unknown/key", False),
        ("sports", "latchkey/news", False),
        ("sports", "latchkey/default/key", False),
        ("sports", "latchkey/mediatailor", True),
        ("sports", "latchkey/mediatailor/key", True),
        ("sports", "theirs/news/key", False),
        ("default", "latchkey/mediatailor", False),
        ("default", "latchkey/news/key", True),
    ],
)
def test_the_default_names_of_another_tenant_are_reserved(tenant: str, name: str, reserved: bool) -> None:
    request = of(tenant, {"key.alias": f"alias/{name}", "secret.name": name})
    problems = [*name_problems(request, {"sports", "news"}.__contains__)]

    assert paths(problems) == (["key.alias", "secret.name"] if reserved else [])
    assert {rule for _, rule in rules(problems)} <= {NOT_ALLOWED}


def test_a_key_or_secret_that_exists_takes_no_name() -> None:
    request = of("sports", EXISTING | {"key.arn": KEY_ARN})

    assert [*name_problems(request, lambda _: True)] == []
