"""observe_access: the status of a MediaTailor access."""

import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.policies.reader_roles import POLICY_NAME
from latchkey.registry import registry
from tests.functions.account import ROOT, Account
from tests.functions.clean_up_steps import ACCESS, GRANT, delete_location, grants, onboarded, token_configuration
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.onboarding_requests import EXECUTION, Run
from tests.functions.onboarding_steps import Onboarding, policy

NAME = "sports-origin"
WHOLE = {"Sid": "Whole", "Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}


@pytest.fixture(autouse=True)
def any_host(stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")


@pytest.fixture
def access(run: Run, account: Account) -> Onboarding:
    return onboarded(run, account)


@pytest.fixture
def observe(run: Run, account: Account) -> Callable[[], tuple[str | None, list[str]]]:
    """The status and the lost checks; observing changes nothing."""

    def observed() -> tuple[str | None, list[str]]:
        before = account.snapshot()
        observation = run("observe_access", {"accessId": ACCESS})
        assert account.snapshot() == before
        return observation["status"], [check["name"] for check in observation["lost"]]

    return observed


type Observe = Callable[[], tuple[str | None, list[str]]]


def record_as(status: Any, access_id: str = ACCESS) -> None:
    record = registry().accesses.get(access_id)
    assert record
    registry().accesses.record_status(record, status, [])


def test_an_access_that_works_is_active(access: Onboarding, observe: Observe, run: Run) -> None:
    assert observe() == ("active", [])
    assert run("observe_access", {"accessId": ACCESS}) == run("observe_access", {"accessId": ACCESS})


def disable(account: Account, access: Onboarding) -> None:
    account.kms.disable_key(KeyId=access.key.rpartition("/")[2])


def schedule(account: Account, access: Onboarding) -> None:
    account.kms.schedule_key_deletion(KeyId=access.key.rpartition("/")[2])


def strip_key(account: Account, access: Onboarding) -> None:
    """Leaves only the statement that delegates to IAM."""
    account.kms.put_key_policy(KeyId=access.key, PolicyName="default", Policy=policy(WHOLE))


def delete_secret(account: Account, access: Onboarding) -> None:
    account.secretsmanager.delete_secret(SecretId=access.secret)


def destroy_secret(account: Account, access: Onboarding) -> None:
    account.secretsmanager.delete_secret(SecretId=access.secret, ForceDeleteWithoutRecovery=True)


def drop_policy(account: Account, access: Onboarding) -> None:
    account.secretsmanager.delete_resource_policy(SecretId=access.secret)


def revoke(account: Account, access: Onboarding) -> None:
    account.kms.revoke_grant(KeyId=access.key, GrantId=grants(account, access.key)[0])


@pytest.mark.parametrize(
    ("act", "lost"),
    [
        (disable, ["key is enabled"]),
        (schedule, ["key is enabled"]),
        (delete_secret, ["secret is not being deleted", "secret policy admits the reader"]),
        (destroy_secret, ["key and secret exist"]),
        (drop_policy, ["secret policy admits the reader"]),
        (revoke, ["grant is there"]),
    ],
)
def test_an_access_is_revoked_when_a_requirement_of_the_service_is_missing(
    account: Account, access: Onboarding, observe: Observe, act: Callable[..., None], lost: list[str]
) -> None:
    act(account, access)

    assert observe() == ("revoked", lost)


def test_a_lost_statement_of_the_key_policy_is_a_finding(
    account: Account, access: Onboarding, observe: Observe, run: Run
) -> None:
    """MediaTailor reads through its grant."""
    strip_key(account, access)

    assert observe() == ("active", [])
    findings = run("observe_access", {"accessId": ACCESS})["findings"]
    statements = ["LatchkeyMediatailorManagement", "LatchkeySecretDecryption"]
    assert {finding["name"] for finding in findings} == {"key policy admits the roles"}
    assert [finding["evidence"] for finding in findings] == [f"{sid} is missing" for sid in statements]


def move_secret(account: Account, access: Onboarding) -> str:
    """Moves the secret to another key and removes the grant on the former one."""
    theirs = account.key()
    account.secretsmanager.update_secret(SecretId=access.secret, KmsKeyId=theirs)
    revoke(account, access)
    return theirs


def test_a_secret_under_another_key_does_not_revoke_the_access(account: Account, access: Onboarding, observe: Observe) -> None:
    theirs = move_secret(account, access)
    assert observe() == (None, ["grant is there"])

    account.grant(theirs, GRANT, access.secret)
    assert observe() == ("active", [])


def test_a_deleted_key_whose_secret_was_moved_is_a_finding(
    run: Run, account: Account, access: Onboarding, observe: Observe
) -> None:
    """The service reads on under the other key. A key that is deleted with the secret under it revokes the access."""

    def delete_key() -> None:
        at_call("kms", "DescribeKey", answer_with_error("DescribeKey", "NotFoundException", 400))

    delete_key()
    assert observe() == ("revoked", ["key and secret exist"])
    move_secret(account, access)

    delete_key()
    observation = run("observe_access", {"accessId": ACCESS})

    assert (observation["status"], observation["lost"]) == ("active", [])
    assert [finding["name"] for finding in observation["findings"]] == ["key exists"]


def test_the_status_is_unknown_if_the_grants_of_the_new_key_cannot_be_read(
    account: Account, access: Onboarding, observe: Observe
) -> None:
    theirs = move_secret(account, access)
    account.grant(theirs, GRANT, access.secret)
    at_call("kms", "ListGrants", answer_with_error("ListGrants"), 2)

    assert observe() == (None, ["grant is there"])


def test_only_a_missing_grant_can_appear_later(run: Run, account: Account, access: Onboarding) -> None:
    revoke(account, access)
    assert run("observe_access", {"accessId": ACCESS})["unsettled"] is True

    disable(account, access)
    assert run("observe_access", {"accessId": ACCESS})["unsettled"] is False


def test_a_call_that_restores_the_access_is_proposed(run: Run, account: Account, access: Onboarding) -> None:
    revoke(account, access)
    proposal = run("observe_access", {"accessId": ACCESS})["proposal"]
    disable(account, access)

    assert "UpdateSourceLocation" in proposal
    assert run("observe_access", {"accessId": ACCESS})["proposal"] is None


def _enabling(access: Onboarding) -> list[str]:
    return [f"aws kms enable-key --key-id {access.key}"]


@pytest.mark.parametrize(
    ("act", "remedy"),
    [
        (disable, _enabling),
        (schedule, lambda access: [f"aws kms cancel-key-deletion --key-id {access.key}", *_enabling(access)]),
    ],
)
def test_the_remedy_is_a_command_of_the_owner(
    run: Run, account: Account, access: Onboarding, act: Callable[..., None], remedy: Callable[[Onboarding], list[str]]
) -> None:
    act(account, access)

    assert run("observe_access", {"accessId": ACCESS})["remedy"] == remedy(access)


def test_the_remedy_of_a_deleted_secret_restores_it_and_sends_the_request_again(
    run: Run, account: Account, access: Onboarding
) -> None:
    delete_secret(account, access)

    restore, again = run("observe_access", {"accessId": ACCESS})["remedy"]

    assert restore == f"aws secretsmanager restore-secret --secret-id {access.secret}"
    assert again.startswith("aws events put-events ")


@pytest.mark.parametrize("act", [drop_policy, revoke, strip_key, destroy_secret])
def test_the_remedy_is_the_request_again(run: Run, account: Account, access: Onboarding, act: Callable[..., None]) -> None:
    act(account, access)

    [remedy] = run("observe_access", {"accessId": ACCESS})["remedy"]
    *command, entries = shlex.split(remedy)
    [entry] = json.loads(entries)
    wanted = registry().accesses.recorded_request(ACCESS)
    assert command == ["aws", "events", "put-events", "--entries"]
    assert (entry["Source"], entry["DetailType"]) == ("latchkey.requests", "Onboarding Requested")
    assert wanted
    sent = {name: value for name, value in wanted.wire.items() if name != "requestId"}
    assert json.loads(entry["Detail"]) == sent | {"secret": {"keepsValue": True}}


def test_the_request_again_replaces_what_a_detached_resource_uses(run: Run, account: Account, access: Onboarding) -> None:
    account.mediatailor.add(NAME, token_configuration(account.secret("theirs/token", "{}")))

    [remedy] = run("observe_access", {"accessId": ACCESS})["remedy"]

    [entry] = json.loads(shlex.split(remedy)[-1])
    assert json.loads(entry["Detail"])["secret"]["replacesToken"] is True


def test_a_deleted_principal_of_others_is_shown(run: Run, account: Account, access: Onboarding) -> None:
    """AWS rejects every update of such a policy until its owner removes the principal."""
    deleted = {"Effect": "Allow", "Principal": {"AWS": "AROADBQP57FF2AEXAMPLE"}, "Action": "kms:Decrypt", "Resource": "*"}
    present = json.loads(account.kms.get_key_policy(KeyId=access.key, PolicyName="default")["Policy"])
    text = json.dumps(present | {"Statement": [*present["Statement"], deleted | {"Sid": "Theirs"}]})
    account.kms.put_key_policy(KeyId=access.key, PolicyName="default", Policy=text)

    observation = run("observe_access", {"accessId": ACCESS})

    assert [finding["name"] for finding in observation["findings"]] == ["key policy names no deleted principals"]
    assert observation["remedy"] == [f"aws kms get-key-policy --key-id {access.key} --query Policy --output text"]


def test_a_working_access_needs_no_remedy(run: Run, access: Onboarding) -> None:
    assert run("observe_access", {"accessId": ACCESS})["remedy"] == []


def test_an_access_is_gone_or_detached_with_its_source_location(account: Account, access: Onboarding, observe: Observe) -> None:
    account.mediatailor.add(NAME, token_configuration(account.secret("theirs/token", "{}")))
    assert observe() == ("detached", ["resource is configured"])

    delete_location(account)
    assert observe() == ("gone", ["resource is configured"])


def test_a_detached_access_is_gone_when_its_secret_is_deleted(account: Account, access: Onboarding, observe: Observe) -> None:
    """The alarm on revoked accesses ends when an access is removed as the runbook says, although the resource stays."""
    account.mediatailor.add(NAME, token_configuration(account.secret("theirs/token", "{}")))
    account.secretsmanager.delete_secret(SecretId=access.secret, RecoveryWindowInDays=7)
    for status in ("detached", "gone", "gone"):
        assert observe()[0] == status
        record_as(status)

    account.secretsmanager.delete_secret(SecretId=access.secret, ForceDeleteWithoutRecovery=True)
    assert observe()[0] == "gone"
    record_as("active")
    assert observe() == ("revoked", ["key and secret exist"])


def test_a_detached_access_is_gone_when_its_role_is_deleted(run: Run, account: Account) -> None:
    account.add_resources()
    access = Onboarding(run, account, system="mediapackagev2").run_through("record_access")
    access_id = access.checked["accessId"]
    account.mediapackagev2.policies.clear()
    assert run("observe_access", {"accessId": access_id})["status"] == "detached"
    record_as("detached", access_id)
    assert run("observe_access", {"accessId": access_id})["status"] == "detached"

    record = registry().accesses.get(access_id)
    assert record
    [role] = [one["RoleName"] for one in account.iam.list_roles()["Roles"] if one["RoleName"].startswith("latchkey_")]
    account.iam.delete_role_policy(RoleName=role, PolicyName=POLICY_NAME)
    account.iam.delete_role(RoleName=role)

    observation = run("observe_access", {"accessId": access_id})
    assert (observation["status"], observation["remedy"]) == ("gone", [])


def test_the_status_of_an_unrecorded_or_locked_access_is_unknown(
    account: Account, access: Onboarding, observe: Observe, run: Run
) -> None:
    registry().locks.lock(ACCESS, EXECUTION)

    assert observe() == (None, [])
    assert run("observe_access", {"accessId": "mediatailor/sourceLocation/nobody"})["status"] is None


def test_an_unmanaged_access_stays_unmanaged(account: Account, access: Onboarding, observe: Observe) -> None:
    record = registry().accesses.get(ACCESS)
    assert record
    registry().accesses.mark_unmanaged(record, ["a key: our statements"])
    assert observe() == ("unmanaged", [])

    [grant] = grants(account, access.key)
    account.kms.revoke_grant(KeyId=access.key, GrantId=grant)
    given_up = registry().accesses.get(ACCESS)
    assert given_up
    registry().accesses.record_status(given_up, "revoked", ["grant is there"])
    assert observe() == ("revoked", ["grant is there"])

    account.grant(access.key, GRANT, access.secret)
    assert observe() == ("unmanaged", [])


def test_an_unmanaged_access_has_no_findings(run: Run, account: Account, access: Onboarding) -> None:
    """Its owner withdrew consent, and can remove the statements."""
    record = registry().accesses.get(ACCESS)
    assert record
    registry().accesses.mark_unmanaged(record, ["a key: our statements"])
    strip_key(account, access)

    observation = run("observe_access", {"accessId": ACCESS})

    assert (observation["status"], observation["findings"]) == ("unmanaged", [])


def test_an_observation_contains_the_version_of_the_record(run: Run, access: Onboarding) -> None:
    record = registry().accesses.get(ACCESS)
    assert record
    observation: dict[str, Any] = run("observe_access", {"accessId": ACCESS})
    assert observation["version"] == record.version
