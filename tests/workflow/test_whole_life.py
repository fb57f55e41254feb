"""The whole life of an access through the deployed stack, for every system that reads a secret.

An owner's resource is onboarded, its token is rotated, its secret is moved to another key, and the access is offboarded,
restored, and offboarded again. Then the account is as it was before, except for what is documented to stay.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.sampling import some
from tests.workflow.account_state import State, read_state
from tests.workflow.consumer_resources import CONSENT, CONSUMERS
from tests.workflow.onboarding import Onboarding
from tests.workflow.rotations import Rotations


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


def rotate(onboarding: Onboarding, access_id: str, secret_arn: str) -> None:
    """Rotates the token of an access, and confirms it if somebody has to prepare for the new one."""
    rotations, former = Rotations(onboarding), value(onboarding, secret_arn)
    event = rotations.request(access_id, acceptsInterruption=True)
    if event["detail-type"] == "Token Pending":
        rotations.confirm(access_id)
    else:
        assert event["detail-type"] == "Token Rotated", event["detail"]
    assert value(onboarding, secret_arn) != former


def sids(onboarding: Onboarding, key_arn: str) -> set[str]:
    return {statement["Sid"] for statement in onboarding.key_policy(key_arn)["Statement"]}


# What stays in the account after a whole life, by the part of its state, with the reason. Everything else is as it was before.
STAYS: Mapping[str, str] = {
    "keys": "both keys, with the statement of the roles that write their policies: without key.allowDeletion, permanently",
    "aliases": "the aliases of both keys",
    "secrets": "the secret, until its recovery window ends",
    "items": "the record of the access and of its requests",
    "executions": "the executions of the requests",
}
# The kinds of items that stay in the registry. No lock, lease, journal or plan is among them.
ITEMS_THAT_STAY = frozenset({"access", "request", "resource", "grant", "notice", "sweep"})


def added(before: State, after: State) -> dict[str, list[Any]]:
    """What is in the account after but not before, by part. What was there before must be unchanged."""
    found = dict[str, list[Any]]()
    for part in before:
        if part in ("logs", "controls", "messages"):  # what the embedded AWS counts
            continue
        if part == "executions":
            assert [len(now) >= len(then) for then, now in zip(before[part], after[part], strict=True)], part
            found[part] = [
                one for then, now in zip(before[part], after[part], strict=True) for one in now[: -len(then) or None]
            ]
            continue
        then, now = (_flat(state[part]) for state in (before, after))
        changed = [one for one in then if one not in now]
        assert part == "items" or changed == [], part
        found[part] = [one for one in now if one not in then]
    return {part: items for part, items in found.items() if items}


# When a service last changed a resource, and settings that it returns empty.
_VOLATILE = ("LastModifiedTime", "ModifiedAt")


def _flat(part: Any) -> list[Any]:
    """The items of all tables or buses, without times of changes and empty settings."""
    lists = part and all(isinstance(one, list) for one in part)
    return [_settings(item) for one in part for item in (one if lists else [one])]


def _settings(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    return {name: value for name, value in item.items() if name not in _VOLATILE and value not in ({}, None)}


def leaves_only_what_is_documented(
    onboarding: Onboarding, before: State, access_id: str, keys: tuple[str, ...], secret_arn: str
) -> None:
    """Compares the whole account with its state before the first request."""
    onboarding.settle()
    found = added(before, read_state(onboarding.aws))
    assert {*found} <= {*STAYS}, {part: found[part] for part in {*found} - {*STAYS}}
    assert sorted(key["key"]["Arn"] for key in found["keys"]) == sorted(keys)
    assert [key["grants"] for key in found["keys"]] == [[], []]
    assert {alias["TargetKeyId"] for alias in found["aliases"]} == {arn.rsplit("/", 1)[1] for arn in keys}
    assert {one["ARN"] for one in found.get("secrets", []) if "ARN" in (one or ())} <= {secret_arn}
    assert "DeletedDate" in onboarding.secretsmanager.describe_secret(SecretId=secret_arn)
    kinds = {item["kind"]["S"] for item in found["items"]}
    assert kinds <= ITEMS_THAT_STAY, kinds
    [access] = [item for item in found["items"] if item["kind"]["S"] == "access"]
    assert (access["id"]["S"], access["status"]["S"], "running" in access) == (access_id, "offboarded", False)
    referring = [item["id"]["S"] for item in found["items"] if item["kind"]["S"] == "resource" and "accesses" in item]
    assert referring == []


@pytest.mark.parametrize("kind", sorted(frozenset(OWNED) - STAY_CONFIGURED))
def test_after_a_whole_life_the_resource_is_as_its_owner_left_it(request: pytest.FixtureRequest, kind: str) -> None:
    """What stays is the secret until its recovery window ends, and both keys with the statement of those who write it."""
    # Cleanups wait for their whole time. A CDN has some minutes for its new token.
    onboarding: Onboarding = request.getfixturevalue("onboarding" if kind == "mediatailor" else "fast_onboarding")
    owned = OWNED[kind](onboarding)
    before, roles, account = owned.settings(), reader_roles(onboarding), read_state(onboarding.aws)

    first = onboarding.onboard(dict(owned.detail))
    access_id, secret_arn, former_key = first["accessId"], first["resources"]["secretArn"], first["resources"]["keyArn"]
    rotate(onboarding, access_id, secret_arn)
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
    leaves_only_what_is_documented(onboarding, account, access_id, (former_key, key), secret_arn)


def delete_resource(onboarding: Onboarding, detail: Mapping[str, Any]) -> None:
    """Deletes the resource of a request, as its owner does."""
    client, resource = onboarding.aws.client(detail["system"]), detail["resource"]
    if detail["system"] == "mediapackage":
        client.delete_origin_endpoint(Id=resource["originEndpoint"])
    elif detail["system"] == "mediapackage-vod":
        client.delete_packaging_group(Id=resource["packagingGroup"])
    else:
        client.delete_flow(FlowArn=resource["flowArn"])


@pytest.mark.parametrize("kind", some(sorted(STAY_CONFIGURED), 2))
def test_a_resource_that_no_call_detaches_keeps_what_it_needs(fast_onboarding: Onboarding, kind: str) -> None:
    onboarding, account = fast_onboarding, read_state(fast_onboarding.aws)
    owned = OWNED[kind](onboarding)
    first = onboarding.onboard(dict(owned.detail))
    rotate(onboarding, first["accessId"], first["resources"]["secretArn"])
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
    # Its owner removes it, which is the step that the outcome names.
    assert onboarding.offboard(access_id)["left"]
    delete_resource(onboarding, owned.detail)
    last = onboarding.offboard(access_id)
    assert (last["left"], [one["resource"] for one in last["scheduled"]]) == ([], [secret_arn])
    keys = (first["resources"]["keyArn"], key)
    leaves_only_what_is_documented(onboarding, account, access_id, keys, secret_arn)
