"""The whole life of an access through the deployed stack, for every system that reads a secret.

An owner's resource is onboarded, moved to another key, offboarded, restored, and offboarded again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.sampling import some
from tests.workflow.consumer_resources import CONSENT, CONSUMERS
from tests.workflow.onboarding import Onboarding


@dataclass(frozen=True)
class Owned:
    """A resource that its owner created and approved, the request for it, and the read of all its settings."""

    detail: Mapping[str, Any]
    settings: Callable[[], Mapping[str, Any]]


def owned_location(onboarding: Onboarding) -> Owned:
    """A source location that requests content without a token."""
    detail = onboarding.detail()
    name, url = detail["resource"]["sourceLocation"], detail["resource"]["baseUrl"]
    http = {"BaseUrl": url}
    onboarding.mediatailor.create_source_location(SourceLocationName=name, HttpConfiguration=http, Tags=CONSENT)

    def settings() -> Mapping[str, Any]:
        found = onboarding.location(name)
        return {member: found.get(member) or None for member in ("HttpConfiguration", "AccessConfiguration")}

    return Owned(detail, settings)


def owned_consumer(kind: str) -> Callable[[Onboarding], Owned]:
    def create(onboarding: Onboarding) -> Owned:
        consumer = CONSUMERS[kind](onboarding.aws)
        return Owned(consumer.detail, consumer.settings)

    return create


OWNED: Mapping[str, Callable[[Onboarding], Owned]] = {
    "mediatailor": owned_location,
    **{kind: owned_consumer(kind) for kind in CONSUMERS},
}
# No API call turns CDN authorization of MediaPackage v1 off, or removes an encryption of MediaConnect.
STAY_CONFIGURED = frozenset(OWNED) - {"mediatailor", "mediapackagev2"}


def moved(detail: Mapping[str, Any]) -> dict[str, Any]:
    """The same request with another key."""
    key = {"alias": f"alias/latchkey/moved-{uuid.uuid4().hex[:8]}", "move": True}
    return {**detail, "requestId": f"move-{uuid.uuid4().hex[:12]}", "key": key}


def reader_roles(onboarding: Onboarding) -> list[str]:
    """The names of the reader roles in the account."""
    pages = onboarding.aws.client("iam").get_paginator("list_roles").paginate()
    return [role["RoleName"] for page in pages for role in page["Roles"] if role["RoleName"].startswith("latchkey_")]


def value(onboarding: Onboarding, secret_arn: str) -> str:
    """The current value of a secret."""
    text: str = onboarding.secretsmanager.get_secret_value(SecretId=secret_arn)["SecretString"]
    return text


def sids(onboarding: Onboarding, key_arn: str) -> set[str]:
    return {statement["Sid"] for statement in onboarding.key_policy(key_arn)["Statement"]}


@pytest.mark.parametrize("kind", sorted(frozenset(OWNED) - STAY_CONFIGURED))
def test_after_a_whole_life_the_resource_is_as_its_owner_left_it(onboarding: Onboarding, kind: str) -> None:
    """What stays is the secret until its recovery window ends, and both keys with the statement of those who write it."""
    owned = OWNED[kind](onboarding)
    before, roles = owned.settings(), reader_roles(onboarding)

    first = onboarding.onboard(dict(owned.detail))
    access_id, secret_arn, former_key = first["accessId"], first["resources"]["secretArn"], first["resources"]["keyArn"]
    token = value(onboarding, secret_arn)
    second = onboarding.onboard(moved(owned.detail))
    key = second["resources"]["keyArn"]
    assert (second["resources"]["secretArn"], value(onboarding, secret_arn)) == (secret_arn, token)
    assert key != former_key
    in_service = owned.settings()

    onboarding.await_old_grants(former_key, key)
    onboarding.offboard(access_id)
    assert owned.settings() == before
    restored = onboarding.restore(access_id)
    assert (restored["resources"]["secretArn"], restored["resources"]["keyArn"]) == (secret_arn, key)
    assert (owned.settings(), value(onboarding, secret_arn)) == (in_service, token)
    onboarding.await_old_grants(former_key, key)
    last = onboarding.offboard(access_id)

    assert owned.settings() == before
    assert last["left"] == last["steps"] == []
    assert [one["resource"] for one in last["scheduled"]] == [secret_arn]
    assert onboarding.secretsmanager.describe_secret(SecretId=secret_arn)["DeletedDate"]
    assert reader_roles(onboarding) == roles
    for arn in (former_key, key):
        assert onboarding.grants(arn) == []
        assert sids(onboarding, arn) == {"EnableIAMUserPermissions", "LatchkeyCreation"}


@pytest.mark.parametrize("kind", some(sorted(STAY_CONFIGURED), 2))
def test_a_resource_that_no_call_detaches_keeps_what_it_needs(fast_onboarding: Onboarding, kind: str) -> None:
    onboarding, owned = fast_onboarding, OWNED[kind](fast_onboarding)
    onboarding.onboard(dict(owned.detail))
    made = onboarding.onboard(moved(owned.detail))
    access_id, secret_arn, key = made["accessId"], made["resources"]["secretArn"], made["resources"]["keyArn"]
    in_service, roles, statements = owned.settings(), reader_roles(onboarding), sids(onboarding, key)

    outcome = onboarding.offboard(access_id)

    assert outcome["left"]
    assert outcome["steps"]
    assert outcome["scheduled"] == []
    assert "DeletedDate" not in onboarding.secretsmanager.describe_secret(SecretId=secret_arn)
    assert (owned.settings(), reader_roles(onboarding), sids(onboarding, key)) == (in_service, roles, statements)
    restored = onboarding.restore(access_id)
    assert restored["resources"]["secretArn"] == secret_arn
    assert owned.settings() == in_service
