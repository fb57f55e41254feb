"""Checks of accesses with a reader role, of handed-off accesses, and of partner keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from latchkey import policies
from latchkey.access.checks import check_access, state_of
from latchkey.access.desired import Desired
from latchkey.access.observed import ObservedAccess
from latchkey.aws.keys import ObservedKey
from latchkey.aws.roles import ObservedRole
from latchkey.aws.secrets import ObservedSecret
from latchkey.systems.system import Configured
from tests.unit.samples import EXISTING_ARN, KEY_ARN, KINDS, PLACE, READ_BY_ROLE, SECRET_ARN, SETTINGS, desired, role

CREATED = datetime(2026, 11, 22, tzinfo=UTC)
PARTNER = "adobe-experience-platform"
KEY_CHECKS = [
    "key is enabled",
    "key is symmetric",
    "key is in this Region",
    "key is managed or consented to",
    "key rotates",
    "key policy admits the roles",
]
SECRET_CHECKS = [
    "secret is under the key",
    "secret is not being deleted",
    "secret policy holds our statements",
    "secret policy is not public",
]
ROLE_CHECKS = [
    "key policy lets the role decrypt",
    "role trusts the service",
    "role reads this secret and nothing else",
    "role may read the secret",
]
RESOURCE_CHECKS = ["resource is configured", "service raises no alert"]

Change = Callable[[ObservedAccess], ObservedAccess]


def sound_role(wanted: Desired) -> ObservedRole | None:
    found = wanted.role(KEY_ARN, SECRET_ARN)
    if found is None:
        return None
    arn = found.arn(PLACE)
    return ObservedRole(arn, CREATED, found.trust, found.policy, SETTINGS.reader_boundary_arn, (), {})


def working(kind: str) -> ObservedAccess:
    """The observed state of a working access of this kind."""
    wanted = desired(kind=kind)
    configuration, reading = wanted.system.configuration, wanted.reading(KEY_ARN, SECRET_ARN)
    settings = configuration.wanted(wanted.resource, reading) if configuration else {}
    return ObservedAccess(
        key=ObservedKey(
            arn=KEY_ARN,
            state="Enabled",
            spec="SYMMETRIC_DEFAULT",
            usage="ENCRYPT_DECRYPT",
            origin="AWS_KMS",
            multi_region=False,
            customer_managed=True,
            created=CREATED,
            tags={"latchkey:managed-by": "latchkey"},
        ),
        key_policy=wanted.new_key_policy,
        rotation_days=365,
        secret=ObservedSecret(SECRET_ARN, wanted.secret_name, KEY_ARN, False, None, {}) if wanted.reads_secret else None,
        secret_keys=(KEY_ARN,),
        secret_policy=policies.merge(None, wanted.secret_statements(SECRET_ARN)) if wanted.reads_secret else None,
        configured=Configured("arn:resource", settings, SECRET_ARN, {}, {}, {}) if configuration else None,
        alerts=(),
        grants=(),
        role=sound_role(wanted),
    )


def role_with(**members: Any) -> Change:
    def change(access: ObservedAccess) -> ObservedAccess:
        assert access.role
        return replace(access, role=replace(access.role, **members))

    return change


def failed(kind: str, observed: ObservedAccess, *, handed_off: bool = False) -> list[str]:
    return [check.name for check in check_access(desired(kind=kind), observed, handed_off=handed_off) if not check.passed]


@pytest.mark.parametrize("kind", READ_BY_ROLE)
def test_a_working_access_with_a_role_passes_every_check_in_order(kind: str) -> None:
    checks = check_access(desired(kind=kind), working(kind))
    assert [check.name for check in checks] == [*KEY_CHECKS, *SECRET_CHECKS, *ROLE_CHECKS, *RESOURCE_CHECKS]
    assert all(check.passed and check.evidence for check in checks)
    assert state_of(desired(kind=kind), working(kind)) == ("active", ())


OTHER_SECRET = {"Version": "2012-10-17", "Statement": []}
FAILURES: dict[str, tuple[Change, str, str, bool, bool]] = {
    "no role": (lambda access: replace(access, role=None), "role exists", ":role/latchkey_", False, True),
    "a key policy without the role and its account": (
        lambda access: replace(access, key_policy=policies.new_document(())),
        "key policy lets the role decrypt",
        "cannot",
        False,
        True,
    ),
    "a trust of others": (role_with(trust=OTHER_SECRET), "role trusts the service", ":role/latchkey_", False, True),
    "another policy": (
        role_with(policy=OTHER_SECRET),
        "role reads this secret and nothing else",
        "ReadOneSecret",
        False,
        False,
    ),
    "no policy": (role_with(policy=None), "role reads this secret and nothing else", "boundary", False, False),
    "a second policy": (
        role_with(others=("arn:aws:iam::aws:policy/SecretsManagerReadWrite",)),
        "role reads this secret and nothing else",
        "SecretsManagerReadWrite",
        False,
        False,
    ),
    "no boundary": (role_with(boundary_arn=None), "role reads this secret and nothing else", "boundary None", False, False),
    "a refusal": (
        lambda access: replace(access, refused=("kms:Decrypt",)),
        "role may read the secret",
        "kms:Decrypt",
        True,
        True,
    ),
}


@pytest.mark.parametrize("kind", READ_BY_ROLE)
@pytest.mark.parametrize(("change", "name", "evidence", "settles", "revokes"), FAILURES.values(), ids=FAILURES)
def test_a_role_check_fails_for_its_own_reason_only(
    kind: str, change: Change, name: str, evidence: str, settles: bool, revokes: bool
) -> None:
    observed = change(working(kind))
    [failed] = [check for check in check_access(desired(kind=kind), observed) if not check.passed]
    assert failed.name == name
    assert evidence in failed.evidence
    assert (failed.settles, failed.overwritten, failed.revokes) == (settles, False, revokes)
    assert state_of(desired(kind=kind), observed)[0] == ("revoked" if revokes else "active")


def test_a_resource_that_accepts_several_tokens_is_not_detached() -> None:
    """An owner can put another secret before that of the access: the service reads all of them."""
    observed = working("mediapackagev2")
    assert observed.configured
    several = replace(observed.configured, secret_arn=EXISTING_ARN, more_secret_arns=(SECRET_ARN,))
    other = replace(several, more_secret_arns=())

    assert state_of(desired(kind="mediapackagev2"), replace(observed, configured=several))[0] == "active"
    assert state_of(desired(kind="mediapackagev2"), replace(observed, configured=other))[0] == "detached"


def test_every_role_check_can_fail() -> None:
    assert {name for _, name, *_ in FAILURES.values()} == {*ROLE_CHECKS, "role exists"}


@pytest.mark.parametrize("kind", READ_BY_ROLE)
def test_a_resource_with_another_role_is_not_configured(kind: str) -> None:
    observed = working(kind)
    assert observed.configured
    other = replace(observed.configured, settings={**observed.configured.settings, "roleArn": role("Other")})
    assert failed(kind, replace(observed, configured=other)) == ["resource is configured"]


def test_an_access_of_a_partner_has_only_key_checks() -> None:
    checks = check_access(desired(kind=PARTNER), working(PARTNER))
    assert [check.name for check in checks] == KEY_CHECKS
    assert state_of(desired(kind=PARTNER), working(PARTNER), handed_off=True) == ("handed-off", ())
    assert state_of(desired(kind=PARTNER), working(PARTNER)) == ("active", ())


@pytest.mark.parametrize("key_state", ["Disabled", "PendingDeletion"])
def test_a_disabled_or_deleted_partner_key_revokes_its_access(key_state: str) -> None:
    observed = replace(working(PARTNER), key=replace(working(PARTNER).key, state=key_state))
    status, [lost] = state_of(desired(kind=PARTNER), observed)
    assert (status, lost.name) == ("revoked", "key is enabled")


def test_a_partner_key_without_partner_statements_revokes_its_access() -> None:
    observed = replace(working(PARTNER), key_policy=policies.new_document([policies.delegation(PLACE)]))
    status, [lost] = state_of(desired(kind=PARTNER), observed)
    assert (status, lost.name) == ("revoked", "key policy admits the roles")
    assert "LatchkeyPartner" in lost.evidence


@pytest.mark.parametrize("kind", KINDS)
def test_a_resource_is_not_checked_before_its_owner_confirms_it(kind: str) -> None:
    unset = replace(working(kind), configured=None, alerts=("NOT_PROCESSED",))
    names = [check.name for check in check_access(desired(kind=kind), unset, handed_off=True)]
    assert failed(kind, unset, handed_off=True) == []
    assert {*RESOURCE_CHECKS, "grant is there"} & set(names) == set()
    assert state_of(desired(kind=kind), unset, handed_off=True) == ("handed-off", ())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != PARTNER])
def test_a_confirmed_resource_must_exist(kind: str) -> None:
    assert "resource is configured" in failed(kind, replace(working(kind), configured=None))
    assert state_of(desired(kind=kind), replace(working(kind), configured=None))[0] == "gone"


@pytest.mark.parametrize("kind", READ_BY_ROLE)
def test_a_handed_off_access_is_revoked_without_anything_that_the_service_needs(kind: str) -> None:
    lost = replace(working(kind), configured=None, role=None)
    assert state_of(desired(kind=kind), lost, handed_off=True)[0] == "revoked"


@pytest.mark.parametrize("kind", READ_BY_ROLE)
def test_a_secret_that_moved_to_another_key_fails_its_check(kind: str) -> None:
    moved = replace(working(kind), secret_keys=(f"{KEY_ARN}-2",))
    assert failed(kind, moved) == ["secret is under the key"]


def test_a_check_that_has_nothing_to_check_is_not_applicable() -> None:
    """Services without alerts, and services whose role is admitted by IAM alone."""
    for kind in READ_BY_ROLE:
        results = {one.name: one.result for one in check_access(desired(kind=kind), working(kind))}
        not_applicable = {name for name, result in results.items() if result == "not applicable"}
        assert not_applicable == {
            "secret policy holds our statements",
            "service raises no alert",
        }
