"""Each check of an access fails for its own reason, with evidence."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from latchkey import policies
from latchkey.access import desired as desired_module
from latchkey.access.checks import check_access, confirmed_by, state_of
from latchkey.access.observed import ObservedAccess
from latchkey.aws.grants import Grant
from latchkey.aws.keys import ObservedKey
from latchkey.aws.secrets import ObservedSecret
from latchkey.events.outcomes import Check
from latchkey.systems import SYSTEMS
from latchkey.systems.system import Configured, Reading
from tests.unit.samples import EXISTING_ARN, FULL, KEY_ARN, PLACE, SECRET_ARN, desired, role

WANTED = desired(FULL)
RESOURCE_ARN = PLACE.arn("mediatailor", "sourceLocation/sports-origin")
OTHER_REGION_KEY = KEY_ARN.replace("eu-west-1", "us-east-1")
FORMER_KEY = f"{KEY_ARN}0"
CREATED = datetime(2026, 11, 22, tzinfo=UTC)

Change = Callable[[ObservedAccess], ObservedAccess]


def settings_of(secret_arn: str) -> dict[str, str]:
    configuration = WANTED.system.configuration
    assert configuration is not None
    return configuration.wanted(WANTED.resource, Reading(secret_arn))


GRANT = Grant(
    grant_id="g-1",
    key_arn=KEY_ARN,
    name=WANTED.grant_name,
    grantee="mediatailor.amazonaws.com",
    operations=frozenset({"Decrypt", "RetireGrant"}),
    secret_arn=SECRET_ARN,
    source_arn=None,
    created=CREATED,
)
SOUND = ObservedAccess(
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
    key_policy=WANTED.new_key_policy,
    rotation_days=365,
    secret=ObservedSecret(
        arn=SECRET_ARN,
        name="latchkey/mediatailor/sports-origin/token",
        kms_key_id=KEY_ARN,
        is_being_deleted=False,
        owning_service=None,
        tags={},
    ),
    secret_keys=(KEY_ARN,),
    secret_policy=policies.new_document(WANTED.secret_statements(SECRET_ARN)),
    configured=Configured(RESOURCE_ARN, settings_of(SECRET_ARN), SECRET_ARN, other_settings={}, full_settings={}, tags={}),
    alerts=(),
    grants=(GRANT,),
)
CHECKS = [
    "key is enabled",
    "key is symmetric",
    "key is in this Region",
    "key is managed or consented to",
    "key rotates",
    "key policy admits the roles",
    "key policy admits the origin readers",
    "key policy admits the administrators",
    "key policy admits the users",
    "secret is under the key",
    "secret is not being deleted",
    "secret policy holds our statements",
    "secret policy admits the management roles",
    "secret policy admits the origin readers",
    "secret policy admits the reader",
    "secret policy is not public",
    "resource is configured",
    "service raises no alert",
    "grant is there",
]


def key(**members: Any) -> Change:
    return lambda access: replace(access, key=replace(access.key, **members))


def secret(**members: Any) -> Change:
    def change(access: ObservedAccess) -> ObservedAccess:
        assert access.secret
        return replace(access, secret=replace(access.secret, **members))

    return change


def encrypted_with(*keys: str) -> Change:
    """These keys encrypt the current version of the secret."""
    return lambda access: replace(access, secret_keys=keys)


def moved_to(key_arn: str) -> Grant:
    return replace(GRANT, grant_id="g-5", key_arn=key_arn)


def statement(**members: Any) -> Change:
    """The secret's policy with one more statement of others."""
    foreign = {"Effect": "Allow", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"} | members
    wanted = WANTED.secret_statements(SECRET_ARN)
    return lambda access: replace(access, secret_policy=policies.new_document((*wanted, foreign)))


BROADER = policies.service_reading("Reading", "mediatailor.amazonaws.com", "*") | {"Sid": "Theirs"}
CONDITIONAL = BROADER | {"Condition": {"StringEquals": {"aws:SourceAccount": PLACE.account}}}


def without_key_statement(sid: str) -> Change:
    """The key's policy without one of our statements."""
    kept = [statement for statement in policies.statements_of(WANTED.new_key_policy) if statement["Sid"] != sid]
    return lambda access: replace(access, key_policy=policies.new_document(kept))


def replaced_in_key_policy(principal: str, by: str) -> Change:
    """The key's policy with another principal, as KMS returns it for a deleted one."""
    text = json.dumps(WANTED.new_key_policy).replace(principal, by)
    return lambda access: replace(access, key_policy=json.loads(text))


def without(sid: str, *others: policies.Statement) -> Change:
    """The secret's policy without one of our statements, and with those of others."""
    kept = [statement for statement in WANTED.secret_statements(SECRET_ARN) if statement["Sid"] != sid] + [*others]
    return lambda access: replace(access, secret_policy=policies.new_document(kept))


def configured(name: str) -> Change:
    """The resource with one of its settings wrong."""
    wrong = settings_of(SECRET_ARN) | {name: "other"}
    return lambda access: replace(access, configured=Configured(RESOURCE_ARN, wrong, SECRET_ARN, {}, {}, {}))


def check(observed: ObservedAccess) -> tuple[Check, ...]:
    return check_access(WANTED, observed)


def test_a_working_access_passes_every_check_in_order() -> None:
    checks = check(SOUND)
    assert [one.name for one in checks] == CHECKS
    assert [one.name for one in checks if not one.passed] == []
    assert all(one.evidence for one in checks)


FAILURES: dict[str, tuple[Change, str, str]] = {
    "disabled key": (key(state="Disabled"), "key is enabled", f"{KEY_ARN} is Disabled"),
    "key scheduled for deletion": (key(state="PendingDeletion"), "key is enabled", "PendingDeletion"),
    "asymmetric key": (key(spec="RSA_2048"), "key is symmetric", "RSA_2048, ENCRYPT_DECRYPT"),
    "key for signatures": (key(usage="GENERATE_VERIFY_MAC"), "key is symmetric", "GENERATE_VERIFY_MAC"),
    "key of another Region": (
        lambda access: secret(kms_key_id=OTHER_REGION_KEY)(key(arn=OTHER_REGION_KEY)(encrypted_with(OTHER_REGION_KEY)(access))),
        "key is in this Region",
        OTHER_REGION_KEY,
    ),
    "key without consent": (key(tags={"team": "sports"}), "key is managed or consented to", "latchkey:consent=None"),
    "key with consent to import": (key(tags={"latchkey:consent": "import"}), "key is managed or consented to", "=import"),
    "key that does not rotate": (lambda access: replace(access, rotation_days=None), "key rotates", "rotation is off"),
    "key policy without the roles": (
        without_key_statement("LatchkeyMediatailorManagement"),
        "key policy admits the roles",
        "Management",
    ),
    "key policy without an origin reader": (
        replaced_in_key_policy(role("Origin"), "AROADBQP57FF2AEXAMPLE"),
        "key policy admits the origin readers",
        "missing statements: LatchkeySecretDecryption; deleted principals: AROADBQP57FF2AEXAMPLE",
    ),
    "key policy without administrators": (
        without_key_statement("LatchkeyAdministrators"),
        "key policy admits the administrators",
        "missing statements: LatchkeyAdministrators",
    ),
    "key policy without a deletion": (
        without_key_statement("LatchkeyDeletion"),
        "key policy admits the administrators",
        "missing statements: LatchkeyDeletion",
    ),
    "key policy without users": (without_key_statement("LatchkeyUsers"), "key policy admits the users", "LatchkeyUsers"),
    "secret under another key": (secret(kms_key_id=FORMER_KEY), "secret is under the key", FORMER_KEY),
    "secret under the default key": (secret(kms_key_id=None), "secret is under the key", "None"),
    "current version under another key": (
        lambda access: replace(encrypted_with(FORMER_KEY)(access), moved_grants=(moved_to(FORMER_KEY),)),
        "secret is under the key",
        FORMER_KEY,
    ),
    "secret scheduled for deletion": (secret(is_being_deleted=True), "secret is not being deleted", SECRET_ARN),
    "no statement for the roles": (
        without("LatchkeyManagementRoles"),
        "secret policy admits the management roles",
        "LatchkeyManagementRoles",
    ),
    "no statement for the origin": (
        without("LatchkeyOriginReaders"),
        "secret policy admits the origin readers",
        "OriginReaders",
    ),
    "another statement for the service": (
        without("LatchkeyMediatailorReading", BROADER),
        "secret policy holds our statements",
        "LatchkeyMediatailorReading",
    ),
    "everyone denied": (
        statement(Effect="Deny"),
        "secret policy admits the reader",
        "mediatailor.amazonaws.com",
    ),
    "service denied": (
        statement(Effect="Deny", Principal={"Service": ["mediatailor.amazonaws.com"]}, Action="*"),
        "secret policy admits the reader",
        SECRET_ARN,
    ),
    "everyone allowed": (statement(), "secret policy is not public", ""),
    "header differs": (configured("header"), "resource is configured", "header"),
    "base URL differs": (configured("baseUrl"), "resource is configured", "baseUrl"),
    "other secret configured": (configured("secretArn"), "resource is configured", "secretArn"),
    "other member configured": (configured("secretKey"), "resource is configured", "secretKey"),
    "no access by secret": (configured("accessType"), "resource is configured", "accessType"),
    "no resource": (lambda access: replace(access, configured=None), "resource is configured", ""),
    "an alert": (lambda access: replace(access, alerts=("NOT_PROCESSED",)), "service raises no alert", "NOT_PROCESSED"),
    "no grant": (lambda access: replace(access, grants=()), "grant is there", f"{WANTED.grant_name}"),
    "grant for another secret": (
        lambda access: replace(access, grants=(replace(GRANT, secret_arn=EXISTING_ARN),)),
        "grant is there",
        SECRET_ARN,
    ),
    "grant of a longer name": (
        lambda access: replace(access, grants=(replace(GRANT, name=f"{WANTED.grant_name}-2"),)),
        "grant is there",
        SECRET_ARN,
    ),
}


@pytest.mark.parametrize(("change", "name", "evidence"), FAILURES.values(), ids=FAILURES)
def test_a_check_fails_for_its_own_reason_only(change: Change, name: str, evidence: str) -> None:
    [failed] = [one for one in check(change(SOUND)) if not one.passed]
    assert failed.name == name
    assert evidence in failed.evidence


def test_every_check_can_fail() -> None:
    assert {name for _, name, _ in FAILURES.values()} == set(CHECKS)


@pytest.mark.parametrize(("change", "name", "_evidence"), FAILURES.values(), ids=FAILURES)
def test_waiting_resolves_only_alerts_and_what_is_not_visible_yet(change: Change, name: str, _evidence: str) -> None:
    [failed] = [one for one in check(change(SOUND)) if not one.passed]
    unseen = (name, failed.evidence) == ("resource is configured", "does not exist")
    assert failed.settles == (unseen or name in {"grant is there", "service raises no alert"})


@pytest.mark.parametrize(("change", "name", "_evidence"), FAILURES.values(), ids=FAILURES)
def test_attaching_again_resolves_only_missing_statements(change: Change, name: str, _evidence: str) -> None:
    [failed] = [one for one in check(change(SOUND)) if not one.passed]
    is_own = name.startswith(("key policy admits", "secret policy holds", "secret policy admits"))
    assert failed.overwritten == (is_own and name != "secret policy admits the reader")


def test_the_evidence_of_a_public_policy_differs_from_that_of_a_private_one() -> None:
    [failed] = [one for one in check(statement()(SOUND)) if not one.passed]
    [passed] = [one for one in check(SOUND) if one.name == failed.name]
    assert failed.evidence != passed.evidence


def test_an_adopted_key_does_not_have_to_rotate() -> None:
    adopted = key(tags={"latchkey:consent": "adopt"})(replace(SOUND, rotation_days=None))
    assert all(one.passed for one in check(adopted))
    [rotation] = [one for one in check(adopted) if one.name == "key rotates"]
    assert rotation.result == "not applicable"
    assert "rotation is off" in rotation.evidence


def test_the_evidence_of_the_rotation_names_its_period() -> None:
    [rotation] = [one for one in check(replace(SOUND, rotation_days=180)) if one.name == "key rotates"]
    assert (rotation.passed, rotation.result, rotation.evidence) == (True, "passed", "rotates every 180 days")


@pytest.mark.parametrize(("asked", "passed"), [({}, True), ({"key.rotationDays": 90}, True), ({"key.rotationDays": 91}, False)])
def test_the_rotation_has_the_period_that_the_request_names(asked: dict[str, Any], passed: bool) -> None:
    checks = check_access(desired(asked), replace(SOUND, rotation_days=90))
    [rotation] = [one for one in checks if one.name == "key rotates"]
    assert (rotation.passed, rotation.result) == (passed, "passed" if passed else "failed")


def test_a_grant_constrained_by_source_arn_counts() -> None:
    newer = replace(GRANT, secret_arn=None, source_arn=RESOURCE_ARN)
    assert all(one.passed for one in check(replace(SOUND, grants=(newer,))))


def test_a_grant_on_the_former_key_is_evidence_and_no_failure() -> None:
    left = replace(GRANT, grant_id="g-0", key_arn=FORMER_KEY)
    foreign = replace(GRANT, grant_id="g-9", key_arn=FORMER_KEY, name="MediaTailor-SourceLocation-somebody-else")
    [grant] = [one for one in check(replace(SOUND, former_grants=(left, foreign))) if one.name == "grant is there"]
    assert grant.passed
    assert f"g-1 on {KEY_ARN}" in grant.evidence
    assert f"g-0 on {FORMER_KEY}" in grant.evidence
    assert "g-9" not in grant.evidence


def test_a_system_without_a_configuration_has_no_resource_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    handed_off = replace(SYSTEMS["mediatailor"], configuration=None)
    monkeypatch.setattr(desired_module, "SYSTEMS", {"mediatailor": handed_off})
    names = [one.name for one in check(replace(SOUND, configured=None))]
    assert names == [
        name for name in CHECKS if name not in {"resource is configured", "service raises no alert", "grant is there"}
    ]


REVOKES = {
    "key is enabled",
    "secret is not being deleted",
    "secret policy admits the reader",
    "grant is there",
}
FINDINGS = {
    "key policy admits the roles",
    "key policy admits the origin readers",
    "key policy admits the administrators",
    "key policy admits the users",
    "secret policy admits the management roles",
    "secret policy admits the origin readers",
}


@pytest.mark.parametrize(("change", "name", "_evidence"), FAILURES.values(), ids=FAILURES)
def test_a_principal_other_than_the_service_is_a_finding(change: Change, name: str, _evidence: str) -> None:
    [failed] = [one for one in check(change(SOUND)) if not one.passed]
    assert failed.finding == (name in FINDINGS)


def test_a_statement_with_a_condition_for_the_service_is_a_finding() -> None:
    """Whether MediaTailor meets the condition is unknown, so the access is not reported as revoked."""
    change = without("LatchkeyMediatailorReading", CONDITIONAL)
    failed = {one.name: one.finding for one in check(change(SOUND)) if not one.passed}

    assert failed == {"secret policy holds our statements": False, "secret policy admits the reader": True}
    assert state(change) == ("active", [])
    assert state(without("LatchkeyMediatailorReading")) == ("revoked", ["secret policy admits the reader"])


def test_the_policy_of_a_former_key_is_no_finding() -> None:
    moved = encrypted_with(FORMER_KEY)(without_key_statement("LatchkeyUsers")(SOUND))

    assert not any(one.finding for one in check(moved) if not one.passed)


def state(change: Change) -> tuple[str | None, list[str]]:
    status, lost = state_of(WANTED, change(SOUND))
    return status, [one.name for one in lost]


@pytest.mark.parametrize(("change", "name", "_evidence"), FAILURES.values(), ids=FAILURES)
def test_an_access_is_revoked_without_anything_that_the_service_needs(change: Change, name: str, _evidence: str) -> None:
    if name != "resource is configured":
        assert state(change) == (("revoked", [name]) if name in REVOKES else ("active", []))


def test_an_access_whose_resource_does_not_exist_is_gone() -> None:
    assert state(lambda access: replace(access, configured=None, grants=())) == ("gone", ["resource is configured"])


def named(secret_arn: str | None) -> Change:
    """The resource names this secret, or none."""
    settings = settings_of(secret_arn or "")
    return lambda access: replace(access, configured=Configured(RESOURCE_ARN, settings, secret_arn, {}, {}, {}))


@pytest.mark.parametrize("secret_arn", [EXISTING_ARN, None, SECRET_ARN[:-8]])
def test_an_access_whose_resource_uses_another_secret_or_none_is_detached(secret_arn: str | None) -> None:
    assert state(named(secret_arn)) == ("detached", ["resource is configured"])


def test_a_resource_can_name_its_secret_without_the_suffix() -> None:
    assert state(named(SECRET_ARN[:-7])) == ("active", [])


@pytest.mark.parametrize("setting", ["header", "baseUrl", "secretKey"])
def test_different_settings_do_not_revoke_an_access(setting: str) -> None:
    assert state(configured(setting)) == ("active", [])


PERSON = replace(GRANT, grant_id="g-7", grantee=PLACE.arn("iam", "role/Person", region=""))


@pytest.mark.parametrize("grantee", [PERSON.grantee, "AROADBQP57FF2AEXAMPLE", "mediatailor.eu-west-3.amazonaws.com"])
def test_the_status_is_unknown_if_the_only_grant_has_another_grantee(grantee: str) -> None:
    other = replace(PERSON, grantee=grantee)
    [failed] = [one for one in check(replace(SOUND, grants=(other,))) if not one.passed]

    assert f"same name, but another grantee: g-7 on {KEY_ARN}" in failed.evidence
    assert (f"if the service uses {grantee}, " in failed.evidence) == grantee.startswith("arn:")
    assert state(lambda access: replace(access, grants=(other,))) == (None, ["grant is there"])


def test_another_grantee_does_not_hide_other_failures() -> None:
    change = key(state="Disabled")
    assert state(lambda access: change(replace(access, grants=(PERSON,)))) == ("revoked", ["key is enabled", "grant is there"])
    assert state(lambda access: replace(access, grants=(PERSON, GRANT))) == ("active", [])


def test_a_current_version_with_two_keys_counts_for_each_key() -> None:
    assert all(one.passed for one in check(encrypted_with(FORMER_KEY, KEY_ARN)(SOUND)))


def test_the_former_key_of_a_moved_secret_does_not_revoke_an_access() -> None:
    gone = replace(encrypted_with(FORMER_KEY)(key(state="Disabled")(SOUND)), grants=(), moved_grants=(moved_to(FORMER_KEY),))
    [grant] = [one for one in check(gone) if one.name == "grant is there"]

    assert grant.evidence.endswith(f"g-5 on {FORMER_KEY}")
    assert state(lambda _: gone) == ("active", [])
    assert state(lambda _: statement(Effect="Deny")(gone)) == ("revoked", ["secret policy admits the reader"])


@pytest.mark.parametrize("grants", [(), None, (replace(moved_to(FORMER_KEY), secret_arn=EXISTING_ARN),)])
@pytest.mark.parametrize("left", [(), (GRANT,)])
def test_the_status_is_unknown_if_the_grants_on_the_new_key_are_not_seen(
    grants: tuple[Grant, ...] | None, left: tuple[Grant, ...]
) -> None:
    moved = replace(encrypted_with(FORMER_KEY)(SOUND), grants=left, moved_grants=grants)

    assert state(lambda _: moved) == (None, [] if left else ["grant is there"])


def test_what_a_person_confirmed_names_the_request_and_is_no_read() -> None:
    confirmed = confirmed_by(desired(kind="adobe-experience-platform"))
    assert (confirmed.name, confirmed.passed, confirmed.result) == ("resource is configured", True, "confirmed")
    assert "request-1" in confirmed.evidence
