"""Clean-ups revoke orphaned grants, keep all others, and report the state of the access."""

import json
import secrets
from datetime import UTC, datetime
from typing import Any

import pytest

from latchkey.cleanup.verdict import Reason
from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import until
from tests.workflow.clean_ups import Access, CleanUps
from tests.workflow.onboarding import MEMBER, Onboarding

FORMS = [
    {"grantForm": "principal", "missingStatus": 404},
    {"grantForm": "service-principal", "missingStatus": 400, "emptyPages": True},
]
type Events = dict[str, dict[str, Any]]


@pytest.fixture
def clean_ups(onboarding: Onboarding, assume: Any) -> CleanUps:
    """Without trail events, and without retirements by MediaTailor unless a test enables them."""
    assume(trail={"lose": 1}, mediatailorRetires="never")
    return CleanUps(onboarding)


def removed(result: Events) -> list[tuple[str, str]]:
    """Returns who removed each grant, and why."""
    return [(grant["removedBy"], grant["reason"]) for grant in result["Grants Cleaned Up"]["removed"]]


def lost(result: Events) -> list[str]:
    return [check["name"] for check in result["Access Revoked"]["lost"]]


@pytest.mark.parametrize("forms", FORMS, ids=lambda forms: forms["grantForm"])
def test_grant_of_a_deleted_location_is_removed_and_attributed(clean_ups: CleanUps, assume: Any, forms: dict[str, Any]) -> None:
    assume(**forms)
    never, at_once, late = clean_ups.new_accesses(3)
    hint = {"eventId": "e-1", "eventName": "DeleteSourceLocation", "eventTime": datetime.now(UTC).isoformat()}
    clean_ups.aws.control("DELETE", "calls")
    for access, values in ((never, {}), (at_once, {"mediatailorRetires": "at-once"}), (late, {"mediatailorRetires": "late"})):
        assume(**values, lateSeconds=1)
        clean_ups.delete_location(access)

    executions = [clean_ups.start(access, hint=hint) for access in (never, at_once, late)]
    by_us, by_service, by_late_service = [clean_ups.finish(execution) for execution in executions]

    assert [clean_ups.grants(access) for access in (never, at_once, late)] == [[], [], []]
    assert removed(by_us) == [("latchkey", Reason.RESOURCE_GONE.text())]
    result = by_us["Grants Cleaned Up"]
    assert result["removed"][0]["grantId"] == never.grant
    assert len(result["removed"][0]["evidence"]) == 2
    assert result["hint"]["eventId"] == "e-1"
    assert 2 <= result["exposureSeconds"] < 60
    assert (result["status"], result["restored"], result["kept"]) == ("gone", False, [])
    for events in (by_service, by_late_service):
        assert removed(events) == [("service", Reason.RESOURCE_GONE.text())]
        assert "exposureSeconds" not in events["Grants Cleaned Up"]
    assert {item["status"]["S"] for item in clean_ups.items("access", never)} == {"gone"}
    calls = clean_ups.calls()
    assert calls["kms:RevokeGrant"] == 1
    assert not {"secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue", "kms:Decrypt"} & {*calls}


def test_second_clean_up_publishes_nothing(clean_ups: CleanUps) -> None:
    [access] = clean_ups.new_accesses(1)
    clean_ups.delete_location(access)
    assert removed(clean_ups.run(access)[0]) == [("latchkey", Reason.RESOURCE_GONE.text())]

    clean_ups.aws.control("DELETE", "calls")

    assert clean_ups.run(access) == [{}]
    assert "kms:RevokeGrant" not in clean_ups.calls()


@pytest.mark.parametrize(
    "values",
    [
        {"recreatedGrant": "same-id"},
        {"recreatedGrant": "new-id"},
        {"recreatedGrant": "new-id", "grantLagSeconds": 1.5},
        {"recreatedGrant": "new-id", "grantForm": "service-principal"},
    ],
    ids=["same id", "new id", "new id, unseen yet", "new id, form of 2026"],
)
def test_location_recreated_at_once_keeps_a_working_grant(clean_ups: CleanUps, assume: Any, values: dict[str, Any]) -> None:
    assume(**values)
    [access] = clean_ups.new_accesses(1)
    until(lambda: clean_ups.grants(access) == [access.grant], "the grant in the list")
    clean_ups.delete_location(access)
    clean_ups.mediatailor.create_source_location(**clean_ups.settings(access))

    [report] = clean_ups.run(access)

    # A second grant that is listed is reported, and both are kept.
    found = [finding["kind"] for notice in report.values() for finding in notice["findings"]]
    is_listed_twice = values["recreatedGrant"] == "new-id" and "grantLagSeconds" not in values
    assert (list(report), found) == ((["Drift Detected"], ["grant-duplicate"]) if is_listed_twice else ([], []))
    assert access.grant in clean_ups.grants(access)
    assert clean_ups.reads(access)
    assume(grantLagSeconds=0)
    assert len(clean_ups.grants(access)) == (1 if values["recreatedGrant"] == "same-id" else 2)
    clean_ups.delete_location(access)
    clean_ups.run(access)
    assert clean_ups.grants(access) == []


@pytest.mark.parametrize("goes", ["shorter", "longer"])
@pytest.mark.parametrize("form", ["principal", "service-principal"])
def test_other_location_with_the_same_secret_keeps_its_grant(clean_ups: CleanUps, assume: Any, goes: str, form: str) -> None:
    """The name of one location is a prefix of the other."""
    assume(grantForm=form)
    [shorter] = clean_ups.new_accesses(1)
    longer = clean_ups.sharing(shorter, f"{shorter.name}-2")
    gone, stays = (shorter, longer) if goes == "shorter" else (longer, shorter)
    clean_ups.delete_location(gone)

    of_gone, of_stays = clean_ups.run(gone, stays)

    assert removed(of_gone) == [("latchkey", Reason.RESOURCE_GONE.text())]
    assert of_stays == {}
    assert (clean_ups.grants(gone), clean_ups.grants(stays)) == ([], [stays.grant])
    assert clean_ups.reads(stays)


@pytest.mark.parametrize("retires", [False, True], ids=["kept by the service", "retired by the service"])
def test_location_that_switches_secrets_or_stops_reading_loses_its_former_grant(
    clean_ups: CleanUps, assume: Any, retires: bool
) -> None:
    assume(updateRetires=retires, mediatailorRetires="at-once", omittedOnPut="clear")
    switched, signed, bare = clean_ups.new_accesses(3)
    value = json.dumps({MEMBER: secrets.token_hex(20)})
    other = clean_ups.onboarding.new_secret(value, KmsKeyId=switched.key)
    policy = clean_ups.onboarding.secret_policy(switched.secret)
    text = json.dumps(policy).replace(switched.secret, other)
    clean_ups.secretsmanager.put_resource_policy(SecretId=other, ResourcePolicy=text)
    clean_ups.mediatailor.update_source_location(**clean_ups.settings(switched, other))
    clean_ups.update_location(signed, AccessConfiguration={"AccessType": "S3_SIGV4"})
    clean_ups.mediatailor.update_source_location(
        **{name: value for name, value in clean_ups.settings(bare).items() if name != "AccessConfiguration"}
    )
    new = [grant for grant in clean_ups.grants(switched) if grant != switched.grant]

    result = clean_ups.run(switched, signed, bare)

    assert len(new) == 1
    assert [clean_ups.grants(access) for access in (switched, signed, bare)] == [new, [], []]
    assert [events["Access Revoked"]["status"] for events in result] == ["detached"] * 3
    if not retires:
        reasons = [Reason.OTHER_SECRET.text(), *[Reason.NO_TOKEN.text()] * 2]
        assert [removed(events) for events in result] == [[("latchkey", reason)] for reason in reasons]
    assert clean_ups.reads(switched)


@pytest.mark.parametrize("form", ["principal", "service-principal"])
def test_grant_on_a_former_key_is_revoked(clean_ups: CleanUps, assume: Any, form: str) -> None:
    assume(grantForm=form)
    again, person = clean_ups.new_accesses(2)
    # By another request, and by a person without Latchkey.
    secret = {"value": {"existing": {"secretArn": again.secret}}, "moveKey": True}
    [moved] = clean_ups.onboard(clean_ups.onboarding.detail(again.name, secret=secret, key={"alias": f"alias/{again.name}"}))
    theirs = clean_ups.onboarding.new_key()
    clean_ups.secretsmanager.update_secret(SecretId=person.secret, KmsKeyId=theirs)
    assert "Grants Cleaned Up" not in clean_ups.run(person)[0]  # there is no grant on the new key yet
    assert clean_ups.grants(person) == [person.grant]
    clean_ups.renew_grant(person)

    result = clean_ups.run(moved, person)

    assert [removed(events)[0][0] for events in result] == ["latchkey", "latchkey"]
    assert (clean_ups.grants(again), clean_ups.grants(person)) == ([], [])
    assert clean_ups.grants(moved) == [moved.grant]
    assert len(clean_ups.grants(person, theirs)) == 1
    assert (clean_ups.reads(moved), clean_ups.reads(person)) == (True, True)


def test_grants_of_other_creators_with_the_same_name_are_kept(clean_ups: CleanUps) -> None:
    [access] = clean_ups.new_accesses(1)
    role = f"arn:aws:iam::{ACCOUNT}:role/Origin"
    common = {"KeyId": access.key, "GranteePrincipal": role, "Operations": ["Decrypt"]}
    same = clean_ups.kms.create_grant(**common, Name=access.grant_name)["GrantId"]
    longer = clean_ups.kms.create_grant(**common, Name=f"{access.grant_name}-2")["GrantId"]
    clean_ups.delete_location(access)

    assert removed(clean_ups.run(access)[0]) == [("latchkey", Reason.RESOURCE_GONE.text())]

    assert {grant["GrantId"] for grant in clean_ups.onboarding.grants(access.key)} == {same, longer}


def test_retirement_is_reported_despite_another_grant_with_the_same_name(clean_ups: CleanUps, assume: Any) -> None:
    [access] = clean_ups.new_accesses(1)
    role = f"arn:aws:iam::{ACCOUNT}:role/Origin"
    clean_ups.kms.create_grant(KeyId=access.key, GranteePrincipal=role, Operations=["Decrypt"], Name=access.grant_name)
    assume(mediatailorRetires="at-once")
    clean_ups.delete_location(access)

    assert removed(clean_ups.run(access)[0]) == [("service", Reason.RESOURCE_GONE.text())]


PAGED = {"ListSourceLocations": "list_source_locations", "ListGrants": "list_grants"}


@pytest.mark.parametrize(("service", "operation"), [("mediatailor", "ListSourceLocations"), ("kms", "ListGrants")])
def test_incomplete_list_revokes_nothing(clean_ups: CleanUps, assume: Any, service: str, operation: str) -> None:
    access, _listed = clean_ups.new_accesses(2)
    assume(emptyPages=True)
    clean_ups.delete_location(access)
    fault = {"service": service, "operation": operation, "caller": "CleanUpGrants", "error": "Odd", "status": 400}

    def fail(call: int) -> Events:
        """Denies the n-th page of the list, counted over both surveys."""
        clean_ups.aws.control("POST", "faults", fault | {"call": call})
        result = clean_ups.finish(clean_ups.start(access), "FAILED")
        assert [met["operation"] for met in clean_ups.aws.control("GET", "faults")] == [operation]
        clean_ups.aws.control("DELETE", "faults")
        assert clean_ups.grants(access) == [access.grant]
        return result

    # The last page of the list in the first survey, and in the second.
    asked = {"KeyId": access.key} if service == "kms" else {}
    pages = [*clean_ups.aws.client(service).get_paginator(PAGED[operation]).paginate(**asked)]
    assert len(pages) > 1
    assert fail(len(pages)) == {}
    result = fail(2 * len(pages))
    assert [*result] == ["Grant Not Revoked"]
    assert (result["Grant Not Revoked"]["status"], result["Grant Not Revoked"]["grantId"]) == ("irrevocable", access.grant)
    assert removed(clean_ups.run(access)[0]) == [("latchkey", Reason.RESOURCE_GONE.text())]


def test_disabled_key_keeps_the_grant_of_an_existing_location(clean_ups: CleanUps) -> None:
    disabled, dying = clean_ups.new_accesses(2)
    clean_ups.kms.disable_key(KeyId=disabled.key)
    clean_ups.kms.schedule_key_deletion(KeyId=dying.key, PendingWindowInDays=7)

    for events in clean_ups.run(disabled, dying):
        assert [*events] == ["Access Revoked"]
        assert lost(events) == ["key is enabled"]
    assert clean_ups.run(disabled, dying) == [{}, {}]  # reported once
    assert (clean_ups.grants(disabled), clean_ups.grants(dying)) == ([disabled.grant], [dying.grant])

    clean_ups.kms.enable_key(KeyId=disabled.key)
    assert [*clean_ups.run(disabled)[0]] == ["Access Restored"]
    assert clean_ups.reads(disabled)

    clean_ups.kms.disable_key(KeyId=disabled.key)
    for access in (disabled, dying):
        clean_ups.delete_location(access)
    assert [removed(events)[0][0] for events in clean_ups.run(disabled, dying)] == ["latchkey", "latchkey"]
    assert (clean_ups.grants(disabled), clean_ups.grants(dying)) == ([], [])


def test_access_is_revoked_and_restored_with_its_secret(clean_ups: CleanUps) -> None:
    deleted, stripped, emptied = clean_ups.new_accesses(3)
    other = clean_ups.new_accesses(1)[0]
    policies = {access.name: clean_ups.onboarding.secret_policy(access.secret) for access in (stripped, emptied)}
    clean_ups.secretsmanager.delete_secret(SecretId=deleted.secret)
    clean_ups.secretsmanager.delete_resource_policy(SecretId=emptied.secret)
    ours = [s for s in policies[stripped.name]["Statement"] if "Service" not in s["Principal"]]
    put_policy(clean_ups, stripped, policies[stripped.name] | {"Statement": ours})
    taken = (deleted, stripped, emptied)

    *result, of_other = clean_ups.run(*taken, other)

    reasons = [Reason.SECRET_GONE.text(), *[Reason.SERVICE_NOT_ALLOWED.text()] * 2]
    assert [removed(events) for events in result] == [[("latchkey", reason)] for reason in reasons]
    assert [events["Grants Cleaned Up"]["status"] for events in result] == ["revoked"] * 3
    assert all({"secret policy admits the reader", "grant is there"} <= {*lost(events)} for events in result)
    assert of_other == {}
    assert [clean_ups.grants(access) for access in (*taken, other)] == [[], [], [], [other.grant]]
    assert clean_ups.reads(other)

    clean_ups.secretsmanager.restore_secret(SecretId=deleted.secret)
    for access in (stripped, emptied):
        put_policy(clean_ups, access, policies[access.name])
    for events in clean_ups.run(*taken):
        assert lost(events) == ["grant is there"]
        assert events["Access Revoked"]["proposal"].startswith("Call UpdateSourceLocation ")
    for access in taken:
        clean_ups.renew_grant(access)
    assert [[*events] for events in clean_ups.run(*taken)] == [["Access Restored"]] * 3
    assert [clean_ups.reads(access) for access in taken] == [True] * 3


def test_another_policy_of_the_secret_keeps_the_grant(clean_ups: CleanUps) -> None:
    [access] = clean_ups.new_accesses(1)
    policy = clean_ups.onboarding.secret_policy(access.secret)
    clean_ups.aws.control("PUT", "secret-policies", {"secret": access.secret, "name": "another", "policy": policy})
    clean_ups.secretsmanager.delete_resource_policy(SecretId=access.secret)

    assert clean_ups.run(access) == [{}]
    assert clean_ups.grants(access) == [access.grant]
    assert clean_ups.reads(access)


def put_policy(clean_ups: CleanUps, access: Access, policy: dict[str, Any]) -> None:
    clean_ups.secretsmanager.put_resource_policy(SecretId=access.secret, ResourcePolicy=json.dumps(policy))


def test_every_access_of_a_revoked_secret_is_cleaned_up(clean_ups: CleanUps) -> None:
    [first] = clean_ups.new_accesses(1)
    second = clean_ups.sharing(first, f"{first.name}-2")
    clean_ups.secretsmanager.delete_secret(SecretId=first.secret)

    result = clean_ups.run(first, second)

    assert [removed(events)[0][0] for events in result] == ["latchkey", "latchkey"]
    assert (clean_ups.grants(first), clean_ups.grants(second)) == ([], [])


def test_grant_that_cannot_be_revoked_is_reported_and_revoked_later(clean_ups: CleanUps) -> None:
    [access] = clean_ups.new_accesses(1)
    clean_ups.delete_location(access)
    fault = {"service": "kms", "operation": "RevokeGrant", "caller": "CleanUpGrants", "error": "Odd", "lasting": True}
    clean_ups.aws.control("POST", "faults", fault)

    events = clean_ups.finish(clean_ups.start(access), "FAILED")

    assert [*events] == ["Grant Not Revoked"]
    result = events["Grant Not Revoked"]
    assert (result["status"], result["grantId"], result["keyArn"]) == ("irrevocable", access.grant, access.key)
    assert result["failure"]["message"].startswith("RevokeGrant failed with Odd (400)")
    assert clean_ups.grants(access) == [access.grant]
    [noted] = clean_ups.items("grant", access)
    assert ("irrevocableAt" in noted, "endedAt" in noted) == (True, False)

    clean_ups.aws.control("DELETE", "faults")
    assert removed(clean_ups.run(access)[0]) == [("latchkey", Reason.RESOURCE_GONE.text())]
    [noted] = clean_ups.items("grant", access)
    assert ("irrevocableAt" in noted, "endedAt" in noted) == (False, True)
    assert clean_ups.grants(access) == []


def test_revocation_that_is_denied_at_first_succeeds_in_the_same_execution(clean_ups: CleanUps) -> None:
    [access] = clean_ups.new_accesses(1)
    clean_ups.delete_location(access)
    fault = {"service": "kms", "operation": "RevokeGrant", "caller": "CleanUpGrants", "error": "AccessDeniedException"}
    clean_ups.aws.control("POST", "faults", fault)

    assert removed(clean_ups.run(access)[0]) == [("latchkey", Reason.RESOURCE_GONE.text())]


def test_throttled_clean_up_succeeds(clean_ups: CleanUps) -> None:
    [access] = clean_ups.new_accesses(1)
    clean_ups.delete_location(access)
    for service, operation in (("kms", "ListGrants"), ("kms", "RevokeGrant"), ("mediatailor", "DescribeSourceLocation")):
        fault = {"service": service, "operation": operation, "caller": "CleanUpGrants", "error": "Throttling", "times": 2}
        clean_ups.aws.control("POST", "faults", fault)

    assert removed(clean_ups.run(access)[0]) == [("latchkey", Reason.RESOURCE_GONE.text())]
    assert clean_ups.grants(access) == []
