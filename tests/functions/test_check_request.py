"""check_request: principals, the resource and the request as a whole, and what is recorded."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.errors import InvalidRequest, NotYetEffective
from latchkey.registry import registry
from latchkey.registry.requests import RequestRef
from tests.functions.account import ACCOUNT, ADOPT, IMPORT, OWN, ROOT, TABLE, Account
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.onboarding_requests import (
    EXECUTION,
    NAME,
    SECRET_NAME,
    Run,
    check_event,
    check_rejection,
    copied,
    existing,
    onboarding,
    rejected_paths,
    rejection,
)
from tests.functions.state_machine import StateMachine

BY_SECRET = "SECRETS_MANAGER_ACCESS_TOKEN"
ACCESS = f"mediatailor/sourceLocation/{NAME}"
RESOURCE = {"resource"}
ABSENT_SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:origin/token-AbCdEf"


def sends(secret: str) -> dict[str, object]:
    """The access configuration of a source location that sends a token."""
    token = {"HeaderName": "X-Origin-Token", "SecretArn": secret, "SecretStringKey": "MyAccessTokenIdentifier"}
    return {"AccessType": BY_SECRET, "SecretsManagerAccessTokenConfiguration": token}


def brings(account: Account, value: str) -> dict[str, Any]:
    """The `secret` of a request with a generated value, or one that brings an existing value."""
    if value == "generated":
        return {}
    theirs = account.secret("origin/token", "{}", ADOPT if value == "adopted" else IMPORT)
    return existing(theirs) if value == "adopted" else copied(theirs)


def test_a_valid_request_returns_the_plan_for_the_state_machine(run: Run) -> None:
    assert run("check_request", check_event(onboarding())) == {
        "accessId": "mediatailor/sourceLocation/sports-origin",
        "confirms": False,
        "changed": False,
        "restores": False,
        "valueToCheck": False,
        "ownSecretArn": None,
        "needsSecret": True,
        "hasResource": True,
        "staged": False,
        "checksFirst": False,
        "companions": [],
        "movedIds": [],
        "moves": False,
        "keyArn": None,
        "secretArn": None,
        "toPlan": False,
        "planOnly": False,
        "replacesValue": None,
    }


def test_an_adopted_secret_is_not_created(run: Run, account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="origin.example.com")
    secret = account.secret("origin/token", "{}")

    checked = run("check_request", check_event(onboarding(secret=existing(secret))))

    assert (checked["needsSecret"], checked["secretArn"]) == (False, secret)


def test_the_request_is_recorded_locks_its_access_and_refers_to_its_secret(run: Run, account: Account) -> None:
    run("check_request", check_event(onboarding()))

    [claimed] = account.items("request")
    assert (claimed["id"]["S"], claimed["executionArn"]["S"]) == ("request-1", EXECUTION)
    [noted] = account.items("resource")
    assert (noted["id"]["S"], noted["accesses"]["SS"]) == (f"secret {SECRET_NAME}", [ACCESS])
    [taken] = account.items("access")
    assert (taken["id"]["S"], taken["running"]["S"]) == (ACCESS, EXECUTION)
    assert json.loads(taken["pending"]["S"]) == onboarding()


HOUR, DAY = 3600, 24 * 3600


def running(account: Account, age: float, holder: str = f"{EXECUTION}-2") -> None:
    """Locks the access for another execution."""
    item = {"kind": {"S": "access"}, "id": {"S": ACCESS}, "running": {"S": holder}}
    account.dynamodb.put_item(TableName=TABLE, Item=item | {"runningSince": {"N": str(int(time.time() - age))}})


def started(machine: str, content: dict[str, Any]) -> tuple[StateMachine, str]:
    """A state machine with one running execution, and the ARN of the execution."""
    made = StateMachine(machine)
    return made, made.start(content)


FORMER = {"requestId": "request-0", "contentHash": "b" * 64}


def end(account: Account) -> None:
    """Records the outcome of the former request."""
    registry().requests.record_outcome(RequestRef("request-0", "b" * 64), "o-1", "Request Failed", "{}")


@pytest.mark.parametrize("age", [HOUR, 300 * DAY])
def test_a_request_waits_while_another_one_runs(run: Run, account: Account, age: int) -> None:
    _, execution = started("onboard-access", FORMER)
    end(account)
    running(account, age, execution)

    with pytest.raises(NotYetEffective):
        run("check_request", check_event(onboarding()))
    assert account.items("access")[0]["running"]["S"] == execution


@pytest.mark.parametrize("age", [HOUR, 300 * DAY])
def test_a_request_waits_until_the_aborted_one_is_rolled_back(run: Run, account: Account, age: int) -> None:
    machine, execution = started("onboard-access", FORMER)
    running(account, age, execution)
    machine.end()

    with pytest.raises(NotYetEffective):
        run("check_request", check_event(onboarding()))

    end(account)
    assert run("check_request", check_event(onboarding()))["accessId"] == ACCESS
    assert account.items("access")[0]["running"]["S"] == EXECUTION


def test_the_lock_of_a_rollback_is_taken_over_only_after_its_execution(run: Run, account: Account) -> None:
    machine, execution = started("end-request", {"executionArn": EXECUTION})
    running(account, 300 * DAY, execution)
    with pytest.raises(NotYetEffective):
        run("check_request", check_event(onboarding()))

    machine.end()

    assert run("check_request", check_event(onboarding()))["accessId"] == ACCESS


@pytest.mark.parametrize(("age", "waits"), [(HOUR, True), (100 * DAY, False)])
def test_an_execution_that_does_not_exist_is_over_unless_it_can_be_new(
    run: Run, account: Account, age: int, waits: bool
) -> None:
    StateMachine("onboard-access")
    running(account, age)

    if waits:
        with pytest.raises(NotYetEffective):
            run("check_request", check_event(onboarding()))
    else:
        assert run("check_request", check_event(onboarding()))["accessId"] == ACCESS


def test_a_waiting_request_is_recorded_with_the_request_that_has_the_access(run: Run, account: Account) -> None:
    _, execution = started("onboard-access", FORMER)
    registry().locks.lock(ACCESS, execution, request=RequestRef("request-0", "b" * 64))

    with pytest.raises(NotYetEffective, match="request request-0 has been running"):
        run("check_request", check_event(onboarding()))
    [waiting] = account.items("request")
    assert "request request-0" in waiting["waitingFor"]["S"]
    assert waiting["waitingSince"]["S"] < waiting["waitingUntil"]["S"]

    registry().locks.unlock(ACCESS, execution)
    run("check_request", check_event(onboarding()))
    [ended] = account.items("request")
    assert "request request-0" in ended["waitedFor"]["S"]
    assert "waitingSince" not in ended


def test_a_wait_that_cannot_be_recorded_goes_on(run: Run, account: Account) -> None:
    _, execution = started("onboard-access", FORMER)
    running(account, HOUR, execution)
    # The first update claims the request id, the second one is for the lock.
    at_call("dynamodb", "UpdateItem", answer_with_error("UpdateItem"), 3)

    with pytest.raises(NotYetEffective):
        run("check_request", check_event(onboarding()))


def test_a_request_waits_while_its_secret_is_being_removed(run: Run, account: Account) -> None:
    item = {"kind": {"S": "resource"}, "id": {"S": f"secret {SECRET_NAME}"}, "removing": {"S": "2026-11-22T08:00:00Z"}}
    account.dynamodb.put_item(TableName=TABLE, Item=item)

    with pytest.raises(NotYetEffective):
        run("check_request", check_event(onboarding()))


def test_checking_twice_changes_nothing_else(run: Run, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr("latchkey.registry.access_locks.time.time", lambda: now)
    first = run("check_request", check_event(onboarding()))
    before = account.snapshot()

    assert run("check_request", check_event(onboarding())) == first
    assert account.snapshot() == before


def test_a_late_duplicate_run_keeps_the_recorded_outcome(run: Run, account: Account) -> None:
    """Lambda can end a timed-out invocation after its retry has already reported the outcome."""
    account.open_bus()
    run("check_request", check_event(onboarding()))
    report = {"detailType": "Access Onboarded", "requestId": "request-1", "contentHash": "c" * 64, "executionArn": EXECUTION}
    run("report_outcome", report | {"accessId": f"mediatailor/sourceLocation/{NAME}", "system": "mediatailor"})

    with pytest.raises(InvalidRequest, match="has ended with Access Onboarded"):
        run("check_request", check_event(onboarding()))

    [recorded] = account.items("request")
    assert recorded["outcomeType"]["S"] == "Access Onboarded"


def test_a_rejected_request_refers_to_nothing(run: Run, account: Account) -> None:
    check_rejection(run, resource={"baseUrl": "http://origin.example.com/vod"})

    assert account.items("resource") == []


@pytest.mark.parametrize("member", ["contentHash", "executionArn"])
def test_a_request_id_in_use_is_rejected(run: Run, member: str) -> None:
    run("check_request", check_event(onboarding()))

    rejected = rejection(run, "check_request", check_event(onboarding(), **{member: "other"}))

    assert set(rejected) == {"requestId"}


FINDING = {"place": "secret.value.copyFrom", "rule": "the token must be 8 to 128 characters long"}


def test_findings_about_a_value_are_reported_only_if_every_rule_passes(run: Run, account: Account) -> None:
    source = account.secret("origin/token", "{}", IMPORT)
    request = onboarding(secret=copied(source))

    assert set(rejection(run, "check_request", check_event(request, findings=[FINDING]))) == {"resource.baseUrl"}


def test_findings_about_a_value_with_consent_are_reported(run: Run, account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    request = onboarding(secret=copied(account.secret("origin/token", "{}", IMPORT)))

    assert set(rejection(run, "check_request", check_event(request, findings=[FINDING]))) == {"secret.value.copyFrom"}


def test_nothing_is_announced_before_the_value_is_checked(run: Run, account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    event = check_event(onboarding(secret=copied(account.secret("origin/token", "{}", IMPORT))))

    assert run("check_request", event | {"findings": None})["valueToCheck"] is True
    assert account.items("resource") == []
    assert "pending" not in account.items("access")[0]

    assert run("check_request", event)["valueToCheck"] is False
    assert "pending" in account.items("access")[0]


def test_every_problem_is_reported_at_once_and_nothing_is_changed(run: Run, account: Account) -> None:
    before = account.snapshot()

    rejected = check_rejection(
        run,
        resource={"baseUrl": "http://origin.example.com/vod"},
        secret=existing(ABSENT_SECRET),
        key={"arn": f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234abcd"},
        managementRoles=[f"arn:aws:iam::{ACCOUNT}:role/media/absent", f"arn:aws:iam::{ACCOUNT}:role/other"],
    )

    assert set(rejected) == {
        "resource.baseUrl",
        "secret.value.existing.secretArn",
        "key.arn",
        "managementRoles.0",
        "managementRoles.1",
    }
    kept = [*account.items("access"), *account.items("journal"), *account.items("request")]
    assert account.snapshot() == before | {"table": kept}
    assert account.items("resource") == []


@pytest.mark.parametrize("member", ["managementRoles", "secret.originReaders", "key.administrators", "key.users"])
def test_a_principal_outside_the_trusted_patterns_is_rejected(run: Run, account: Account, member: str) -> None:
    parent, _, child = member.rpartition(".")
    roles = [account.role("Origin")]

    rejected = check_rejection(run, **({parent: {child: roles}} if parent else {child: roles}))

    assert set(rejected) == {f"{member}.0"}


def test_a_trusted_role_passes_only_if_it_exists(run: Run, account: Account) -> None:
    there, absent = account.role("Origin", "/media/"), f"arn:aws:iam::{ACCOUNT}:role/media/Absent"

    assert rejected_paths(run, managementRoles=[there, absent]) == {"managementRoles.1"}


def test_a_role_under_another_path_is_another_role(run: Run, account: Account) -> None:
    account.role("Origin", "/media/live/")

    rejected = check_rejection(run, managementRoles=[f"arn:aws:iam::{ACCOUNT}:role/media/Origin"])

    assert set(rejected) == {"managementRoles.0"}


def test_a_missing_user_is_rejected(run: Run, stack: Callable[..., None]) -> None:
    stack(TRUSTED_PRINCIPAL_PATTERNS=f"arn:aws:iam::{ACCOUNT}:user/*")

    rejected = check_rejection(run, key={"administrators": [f"arn:aws:iam::{ACCOUNT}:user/absent"]})

    assert set(rejected) == {"key.administrators.0"}


def test_the_stack_parameters_alone_decide_about_a_role_of_another_account(run: Run, stack: Callable[..., None]) -> None:
    stack(TRUSTED_PRINCIPAL_PATTERNS="arn:aws:iam::111122223333:role/*", ALLOWED_PARTNER_ACCOUNTS="111122223333")

    assert run("check_request", check_event(onboarding(managementRoles=["arn:aws:iam::111122223333:role/Origin"])))


def test_an_http_origin_is_rejected_unless_the_stack_allows_it(run: Run, stack: Callable[..., None]) -> None:
    http = {"baseUrl": "http://origin.example.com/vod"}
    assert rejected_paths(run, resource=http) == {"resource.baseUrl"}

    stack(ALLOW_HTTP_ORIGINS="true")

    assert run("check_request", check_event(onboarding(resource=http)))


def test_a_source_location_that_sends_a_token_gets_a_new_one_only_on_request(run: Run, account: Account) -> None:
    account.mediatailor.add(NAME, sends(ABSENT_SECRET))

    assert rejected_paths(run) == {"secret.replacesToken"}
    assert run("check_request", check_event(onboarding(secret={"replacesToken": True})))


def recorded_location(run: Run, account: Account, status: str = "active") -> str:
    """A source location without a tag that sends the token of its recorded access, as older versions accepted it."""
    key = account.key(alias="alias/latchkey/mediatailor")
    secret = account.secret(SECRET_NAME, "{}", OWN, key=key)
    account.mediatailor.add(NAME, sends(secret), tags={})
    arn = account.mediatailor.locations[NAME]["Arn"]
    resources = {"keyArn": key, "secretArn": secret, "resourceArn": arn}
    run("record_access", {"request": onboarding(), "resources": resources, "status": status})
    return secret


def test_the_record_of_an_access_proves_consent_to_the_present_settings_only(run: Run, account: Account) -> None:
    """An older version configured source locations without a tag."""
    recorded_location(run, account)

    again = onboarding(tags={"team": "sports"}) | {"requestId": "request-2"}
    assert run("check_request", check_event(again, contentHash="d" * 64))["accessId"] == ACCESS
    assert rejected_paths(run, requestId="request-3", resource={"header": "X-Other"}) == {"resource"}
    another = {"secret": {"name": "latchkey/another", "replacesToken": True}}
    assert rejected_paths(run, requestId="request-4", **another) == {"resource"}


def test_a_hand_off_that_is_not_confirmed_proves_no_consent(run: Run, account: Account) -> None:
    recorded_location(run, account, status="handed-off")

    assert "resource" in rejected_paths(run, requestId="request-2")


@pytest.mark.parametrize(("tags", "referred", "paths"), [(OWN, True, set()), (OWN, False, RESOURCE), ({}, True, RESOURCE)])
def test_a_source_location_is_ours_by_the_registry_and_the_tag(
    run: Run, account: Account, tags: dict[str, str], referred: bool, paths: set[str]
) -> None:
    account.mediatailor.add(NAME, tags=tags)
    if referred:
        registry().resources.refer(account.mediatailor.locations[NAME]["Arn"], ACCESS)

    if paths:
        assert rejected_paths(run) == paths
    else:
        assert run("check_request", check_event(onboarding()))


@pytest.mark.parametrize("base_url", ["https://former.example.com/vod", "https://origin.example.com/vod"])
def test_a_foreign_source_location_is_changed_only_with_consent(run: Run, account: Account, base_url: str) -> None:
    account.mediatailor.add(NAME, HttpConfiguration={"BaseUrl": base_url}, tags={})
    assert list(check_rejection(run)) == ["resource"]

    account.mediatailor.add(NAME, HttpConfiguration={"BaseUrl": base_url}, tags=ADOPT)
    assert run("check_request", check_event(onboarding()))


def test_an_adopted_value_that_cannot_be_read_is_rejected(run: Run, account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    request = onboarding(secret=existing(account.secret("origin/token", "{}")))

    assert set(rejection(run, "check_request", check_event(request, unreadable=True))) == {"secret.value"}


def test_an_unreadable_value_is_not_a_second_problem(run: Run) -> None:
    request = onboarding(secret=existing(ABSENT_SECRET))

    assert set(rejection(run, "check_request", check_event(request, unreadable=True))) == {"secret.value.existing.secretArn"}


def test_a_generated_value_does_not_have_to_be_readable(run: Run) -> None:
    assert run("check_request", check_event(onboarding(), unreadable=True))["needsSecret"] is True


def test_a_source_location_without_a_token_can_get_one(run: Run, account: Account) -> None:
    account.mediatailor.add(NAME)

    assert run("check_request", check_event(onboarding()))


@pytest.mark.parametrize("access_type", ["S3_SIGV4", "AUTODETECT_SIGV4"])
@pytest.mark.parametrize("value", ["generated", "imported", "adopted"])
def test_another_way_to_authenticate_is_replaced_only_if_the_request_asks_for_it(
    run: Run, account: Account, stack: Callable[..., None], access_type: str, value: str
) -> None:
    """A private bucket accepts only signed requests, whatever the token is."""
    stack(ALLOWED_ORIGIN_HOSTS="*")
    account.mediatailor.add(NAME, {"AccessType": access_type})
    secret = brings(account, value)

    assert rejected_paths(run, secret=secret) == {"secret.replacesToken"}
    assert run("check_request", check_event(onboarding(secret=secret | {"replacesToken": True})))


@pytest.mark.parametrize("value", ["generated", "imported", "adopted"])
def test_another_secret_is_replaced_only_if_the_request_asks_for_it(
    run: Run, account: Account, stack: Callable[..., None], value: str
) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    account.mediatailor.add(NAME, sends(account.secret("origin/present", "{}")))
    secret = brings(account, value)

    assert rejected_paths(run, secret=secret) == {"secret.replacesToken"}
    assert run("check_request", check_event(onboarding(secret=secret | {"replacesToken": True})))


def test_a_copy_of_the_secret_in_use_replaces_no_token(run: Run, account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    theirs = account.secret("origin/token", "{}", IMPORT)
    account.mediatailor.add(NAME, sends(theirs))

    assert run("check_request", check_event(onboarding(secret=copied(theirs))))


def test_the_message_of_a_rejection_is_json_without_values(run: Run) -> None:
    with pytest.raises(InvalidRequest) as caught:
        run("check_request", check_event(onboarding(resource={"baseUrl": "http://canary.example.com/vod"})))

    assert str(caught.value).startswith('{"problems": [{"place": "resource.baseUrl"')
    assert "canary" not in str(caught.value)


CLOSED = {
    "Sid": "Owner",
    "Effect": "Allow",
    "Principal": {"AWS": ROOT},
    "Action": ["kms:Describe*", "kms:Get*"],
    "Resource": "*",
}


@pytest.mark.parametrize(("closed", "paths"), [(True, {"resource"}), (False, set())])
def test_a_source_location_that_could_not_be_set_back_is_not_changed(
    run: Run, account: Account, closed: bool, paths: set[str]
) -> None:
    key = account.key(tags={})
    if closed:
        document = json.dumps({"Version": "2012-10-17", "Statement": [CLOSED]})
        account.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=document)
    account.mediatailor.add(NAME, sends(account.secret("theirs/token", "{}", {}, key=key)))
    secret = {"replacesToken": True}

    if paths:
        assert rejected_paths(run, secret=secret) == paths
    else:
        assert run("check_request", check_event(onboarding(secret=secret)))
