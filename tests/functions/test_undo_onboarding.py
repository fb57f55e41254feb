"""undo_onboarding: what a failed request created is removed, everything else is restored, a second run changes nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.aws import clients
from latchkey.errors import AccessDenied, NotYetEffective, TransientAwsError
from tests.functions.account import ACCOUNT, ADOPT, ROOT, TABLE, Account
from tests.functions.fault_injection import answer_with_error, at_call, lose_connection
from tests.functions.onboarding_requests import HEADER, NAME, SECRET_KEY, Run, existing
from tests.functions.onboarding_steps import Onboarding, account_snapshot, key_statements, policy, references, secret_statements

ALIAS = "alias/latchkey/mediatailor"
VALUE = json.dumps({SECRET_KEY: "a" * 20})
SEGMENTS = {"DefaultSegmentDeliveryConfiguration": {"BaseUrl": "https://cdn.example.com"}}
WHOLE = {"Sid": "Whole", "Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
FOREIGN = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "secretsmanager:DescribeSecret", "Resource": "*"}
OTHER = {"sourceLocation": "news-origin"}
TAGS = ADOPT | {"owner": "other-team"}


@pytest.fixture(autouse=True)
def any_host(stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")


def consent(account: Account, secret: str) -> None:
    account.secretsmanager.tag_resource(SecretId=secret, Tags=[{"Key": "latchkey:consent", "Value": "adopt"}])


STEPS = ["create_key", "create_secret", "attach_policies", "configure_access"]


@pytest.mark.parametrize("until", STEPS)
def test_everything_the_request_created_is_removed_after_every_step(run: Run, account: Account, until: str) -> None:
    failed = Onboarding(run, account).run_through(until)

    undone = failed.undo()

    after = account_snapshot(account)
    assert after["keys"] == {failed.key: "PendingDeletion"}
    assert (after["aliases"], after["secrets"], after["locations"]) == ([], {}, {})
    at = STEPS.index(until)
    assert len(undone) == 1 + (at >= 1) + (at >= 3)
    assert any(failed.key in step for step in undone)


def test_a_request_that_created_nothing_leaves_no_reference(run: Run, account: Account) -> None:
    failed = Onboarding(run, account).run_through("check_request")

    assert failed.undo() == []
    assert references(account) == {}


def test_an_invalid_request_is_not_rolled_back(run: Run, account: Account) -> None:
    before = account.snapshot()

    assert run("undo_onboarding", {"request": None, "executionArn": "arn:execution"}) == {"undone": [], "left": []}
    assert account.snapshot() == before


def test_the_same_request_succeeds_after_a_rollback(run: Run, account: Account) -> None:
    first = Onboarding(run, account).run_through()
    first.undo()
    first.end()

    second = Onboarding(run, account, requestId="request-2").run_through("record_access")

    assert second.key != first.key
    assert account.kms.describe_key(KeyId=ALIAS)["KeyMetadata"]["Arn"] == second.key
    assert NAME in account.mediatailor.locations


def test_a_shared_key_and_secret_keep_the_statements_of_other_accesses(run: Run, account: Account) -> None:
    mine, theirs = account.role("Mine", "/media/"), account.role("Theirs", "/media/")
    first = Onboarding(run, account, secret={"originReaders": [theirs]}).run_through("record_access")
    consent(account, first.secret)
    before = account_snapshot(account)
    shared = existing(first.secret, originReaders=[mine])
    failed = Onboarding(run, account, requestId="request-2", resource=OTHER, secret=shared).run_through()
    assert mine in json.dumps(key_statements(account, first.key))
    assert mine in json.dumps(secret_statements(account, first.secret))
    failed.undo()

    after = account_snapshot(account)
    for part in ("keys", "policies", "aliases", "secrets", "locations"):
        assert after[part] == before[part], part
    assert {access for accesses in references(account).values() for access in accesses} == {first.checked["accessId"]}


def test_a_key_that_another_access_started_to_use_is_kept(run: Run, account: Account) -> None:
    failed = Onboarding(run, account).run_through()
    other = Onboarding(run, account, requestId="request-2", resource=OTHER).run_through()
    policy = key_statements(account, failed.key)

    undone = failed.undo()

    after = account_snapshot(account)
    assert after["keys"] == {failed.key: "Enabled"}
    assert after["aliases"] == [ALIAS]
    assert list(after["secrets"]) == [other.secret]
    assert not any(failed.key in step for step in undone)
    assert key_statements(account, failed.key) == policy
    assert references(account)[failed.key] == [other.checked["accessId"]]


def test_an_adopted_key_and_secret_get_their_former_policies_back(run: Run, account: Account) -> None:
    key = account.key(tags=ADOPT)
    account.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy(WHOLE))
    secret = account.secret("origin/token", VALUE, key=key)
    account.secretsmanager.put_resource_policy(SecretId=secret, ResourcePolicy=policy(FOREIGN))
    before = account_snapshot(account)

    Onboarding(run, account, secret=existing(secret), key={"arn": key}).run_through().undo()

    after = account_snapshot(account)
    for part in ("keys", "policies", "secrets", "locations"):
        assert after[part] == before[part], part
    assert references(account) == {}


def test_an_adopted_secret_without_a_policy_has_none_after_a_rollback(run: Run, account: Account) -> None:
    key = account.key(tags=ADOPT)
    secret = account.secret("origin/token", VALUE, key=key)

    Onboarding(run, account, secret=existing(secret), key={"arn": key}).run_through().undo()

    assert "ResourcePolicy" not in account.secretsmanager.get_resource_policy(SecretId=secret)


def test_a_secret_that_left_the_default_key_keeps_its_readers(run: Run, account: Account) -> None:
    key = account.key(tags=ADOPT)
    account.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy(WHOLE))
    secret = account.secret("origin/token", VALUE)

    Onboarding(run, account, secret=existing(secret), key={"arn": key}).run_through("attach_policies").undo()

    assert account.secretsmanager.describe_secret(SecretId=secret)["KmsKeyId"] == key
    assert [statement["Sid"] for statement in key_statements(account, key)] == ["Whole", "LatchkeyFormerDefaultKey"]


@pytest.mark.parametrize("under", ["the default key", "another key"])
def test_a_key_that_encrypts_an_adopted_secret_is_kept(run: Run, account: Account, under: str) -> None:
    secret = account.secret("origin/token", VALUE, key=account.key(tags=ADOPT) if under == "another key" else None)
    failed = Onboarding(run, account, secret=existing(secret, moveKey=True)).run_through("attach_policies")

    failed.undo()

    key = account.secretsmanager.describe_secret(SecretId=secret).get("KmsKeyId")
    assert key is None or account.kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"


def test_an_active_access_is_restored_after_a_failed_request(run: Run, account: Account) -> None:
    mine = account.role("Mine", "/media/")
    first = Onboarding(run, account).run_through("record_access")
    before = account_snapshot(account)

    changed = {"resource": {"header": "X-Other"}, "secret": {"originReaders": [mine]}}
    failed = Onboarding(run, account, requestId="request-2", **changed).run_through()
    undone = failed.undo()

    after = account_snapshot(account)
    for part in ("keys", "policies", "aliases", "secrets", "locations"):
        assert after[part] == before[part], part
    assert any(f"sourceLocation/{NAME}" in step for step in undone)
    assert references(account)[first.key] == [first.checked["accessId"]]


@pytest.mark.parametrize("there", [True, False])
def test_a_request_without_the_lock_rolls_nothing_back(run: Run, account: Account, there: bool) -> None:
    """The request failed in Check value, or waited too long in Check request. Both lead to a rollback."""
    if there:
        account.mediatailor.add(NAME, **SEGMENTS)
    Onboarding(run, account).run_through()
    second = Onboarding(run, account, requestId="request-2")
    with pytest.raises(NotYetEffective):
        second.run_through("check_request")
    before = account_snapshot(account)

    undone = run("undo_onboarding", second.undo_event)["undone"]

    # Only its request id can remain.
    after = account_snapshot(account)
    assert (undone, {part for part in before if after[part] != before[part]}) == ([], set())


TOKEN = {
    "HeaderName": HEADER,
    "SecretArn": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:former-AbCdEf",
    "SecretStringKey": "former",
}
SENT = {"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": TOKEN}


@pytest.mark.parametrize("access", [{"AccessType": "S3_SIGV4"}, SENT, None], ids=["signed", "another token", "open"])
def test_an_existing_source_location_gets_its_former_settings_back(
    run: Run, account: Account, access: dict[str, Any] | None
) -> None:
    account.mediatailor.add(NAME, access, tags=TAGS, **SEGMENTS)
    before = json.loads(json.dumps(account.mediatailor.locations[NAME]))

    undone = Onboarding(run, account, secret={"replacesToken": True}).run_through().undo()

    after = account.mediatailor.locations[NAME]
    assert {name: value for name, value in after.items() if value} == before
    assert any(f"sourceLocation/{NAME}" in step for step in undone)


EMPTY = ["accept", "refuse", "keep"]


@pytest.mark.parametrize("keeps", [False, True], ids=["omitted is cleared", "omitted is kept"])
@pytest.mark.parametrize("empty", EMPTY)
def test_a_token_is_removed_or_reported_whatever_an_update_does_with_an_empty_access_configuration(
    run: Run, account: Account, keeps: bool, empty: str
) -> None:
    account.mediatailor.add(NAME, None, tags=TAGS, **SEGMENTS)
    failed = Onboarding(run, account).run_through()
    account.mediatailor.keeps_omitted, account.mediatailor.empty_access = keeps, empty
    account.mediatailor.writes.clear()

    failed.undo()

    location = account.mediatailor.locations[NAME]
    sent_empty = [sent for _, sent in account.mediatailor.writes if sent.get("AccessConfiguration") == {}]
    assert bool(sent_empty) == keeps
    if keeps and empty != "accept":
        assert [text for text in failed.left if f"sourceLocation/{NAME}" in text and "MediaTailor console" in text]
        # The secret that the location still reads stays, until somebody removes the token.
        assert failed.secret in account_snapshot(account)["secrets"]
        del location["AccessConfiguration"]
        failed.undo()
    assert not location.get("AccessConfiguration")
    assert (location["DefaultSegmentDeliveryConfiguration"], failed.left) == (
        SEGMENTS["DefaultSegmentDeliveryConfiguration"],
        [],
    )
    assert failed.secret not in account_snapshot(account)["secrets"]


@pytest.mark.parametrize("keeps", [False, True])
def test_a_token_is_not_sent_to_the_former_url_while_it_is_removed(run: Run, account: Account, keeps: bool) -> None:
    former = {"HttpConfiguration": {"BaseUrl": "https://former.example.com"}}
    account.mediatailor.add(NAME, None, tags=TAGS, **former)
    failed = Onboarding(run, account).run_through()
    account.mediatailor.keeps_omitted = keeps
    states: list[Any] = []
    account.mediatailor.at_update = lambda: states.append(json.loads(json.dumps(account.mediatailor.locations[NAME])))

    failed.undo()

    states.append(account.mediatailor.locations[NAME])
    assert all(
        state["HttpConfiguration"] != former["HttpConfiguration"] for state in states if state.get("AccessConfiguration")
    )
    assert not states[-1].get("AccessConfiguration")
    assert states[-1]["HttpConfiguration"] == former["HttpConfiguration"]


def test_an_access_configuration_that_its_owner_sets_during_the_removal_is_kept(run: Run, account: Account) -> None:
    account.mediatailor.add(NAME, None, tags=TAGS)
    failed = Onboarding(run, account).run_through()
    account.mediatailor.keeps_omitted = True
    theirs = {"AccessConfiguration": {"AccessType": "S3_SIGV4"}}
    at_call("mediatailor", "DescribeSourceLocation", lambda: account.mediatailor.locations[NAME].update(theirs), 3)

    with pytest.raises(TransientAwsError):
        run("undo_onboarding", failed.undo_event)
    failed.undo()

    assert account.mediatailor.locations[NAME]["AccessConfiguration"] == theirs["AccessConfiguration"]


def test_a_later_change_to_a_source_location_is_kept(run: Run, account: Account) -> None:
    account.mediatailor.add(NAME, None, tags=TAGS)
    failed = Onboarding(run, account).run_through()
    account.mediatailor.locations[NAME] |= SEGMENTS

    failed.undo()

    after = account.mediatailor.locations[NAME]
    assert {member: after[member] for member in SEGMENTS} == SEGMENTS
    assert not after.get("AccessConfiguration")


def test_a_source_location_that_the_request_did_not_configure_is_kept(run: Run, account: Account) -> None:
    account.mediatailor.add(NAME, tags=ADOPT | {"latchkey:request": "request-1", "latchkey:managed-by": "latchkey"})

    Onboarding(run, account).run_through("attach_policies").undo()

    assert [method for method, _ in account.mediatailor.writes] == []


def test_a_source_location_of_another_creator_is_kept(run: Run, account: Account) -> None:
    failed = Onboarding(run, account).run_through()
    account.mediatailor.locations[NAME]["tags"] = {"owner": "other-team"}

    failed.undo()

    assert NAME in account.mediatailor.locations


MOVED = {"HttpConfiguration": {"BaseUrl": "https://moved.example.com/"}}


@pytest.mark.parametrize("change", [MOVED, SEGMENTS], ids=["base URL", "segments"])
@pytest.mark.parametrize("when", ["before the rollback", "during the rollback", "after a crash"])
def test_a_created_source_location_that_its_owner_changed_is_kept_until_the_owner_acts(
    run: Run, account: Account, change: dict[str, Any], when: str
) -> None:
    failed = Onboarding(run, account).run_through("attach_policies")
    if when == "after a crash":
        at_call("mediatailor", "DescribeSourceLocation", lose_connection, number=2)
        with pytest.raises(TransientAwsError):
            failed.configure_access()
    else:
        failed.configure_access()
    if when == "during the rollback":
        # The last read immediately precedes the deletion.
        at_call("mediatailor", "DescribeSourceLocation", lambda: account.mediatailor.locations[NAME].update(change), 2)
    else:
        account.mediatailor.locations[NAME] |= change

    failed.undo()

    location = account.mediatailor.locations[NAME]
    assert {member: location[member] for member in change} == change
    assert list(account_snapshot(account)["secrets"]) == [failed.secret]
    assert len(failed.left) == 1

    account.mediatailor.locations.clear()
    failed.undo()
    assert (failed.left, account_snapshot(account)["secrets"]) == ([], {})


def test_a_created_source_location_that_is_not_visible_yet_is_not_left_behind(run: Run, account: Account) -> None:
    account.mediatailor.unseen.add(NAME)
    failed = Onboarding(run, account).run_through()
    assert NAME in account.mediatailor.locations

    with pytest.raises(NotYetEffective):
        run("undo_onboarding", failed.undo_event)

    account.mediatailor.unseen.clear()
    failed.undo()
    assert (failed.left, account_snapshot(account)["locations"]) == ([], {})


def test_an_updated_source_location_that_cannot_be_read_afterwards_is_restored(run: Run, account: Account) -> None:
    account.mediatailor.add(NAME, None, tags=TAGS)
    failed = Onboarding(run, account).run_through("attach_policies")
    account.mediatailor.at_update = lambda: account.mediatailor.unseen.add(NAME)
    failed.configure_access()
    account.mediatailor.unseen.clear()
    account.mediatailor.at_update = lambda: None

    failed.undo()

    assert not account.mediatailor.locations[NAME].get("AccessConfiguration")


def test_a_created_source_location_that_stays_invisible_blocks_no_rollback(run: Run, account: Account) -> None:
    account.mediatailor.unseen.add(NAME)
    failed = Onboarding(run, account).run_through()
    [created] = [item for item in account.items("journal") if item["id"]["S"].endswith("resource")]
    account.dynamodb.put_item(TableName=TABLE, Item=created | {"notedAt": {"S": "2026-01-01T00:00:00+00:00"}})

    failed.undo()

    assert account_snapshot(account)["secrets"] == {}


def test_nothing_is_written_between_the_last_read_of_a_source_location_and_its_deletion(run: Run, account: Account) -> None:
    failed = Onboarding(run, account).run_through()
    called: list[str] = []
    for client in (clients.dynamodb(), clients.client_for_without_retries("mediatailor")):
        client.meta.events.register("before-call", lambda model, **_: called.append(model.name))

    failed.undo()

    deleted = called.index("DeleteSourceLocation")
    assert called[deleted - 1] == "DescribeSourceLocation"


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("secrets-manager", "DeleteSecret"),
        ("kms", "DeleteAlias"),
        ("kms", "ScheduleKeyDeletion"),
        ("dynamodb", "DeleteItem"),
    ],
)
@pytest.mark.parametrize("when", ["before-call", "after-call"])
def test_a_retry_completes_an_interrupted_rollback(run: Run, account: Account, service: str, operation: str, when: str) -> None:
    failed = Onboarding(run, account).run_through()
    at_call({"secrets-manager": "secretsmanager"}.get(service, service), operation, lose_connection, when=when)
    with pytest.raises(TransientAwsError):
        run("undo_onboarding", failed.undo_event)

    failed.undo()

    after = account_snapshot(account)
    assert (after["keys"], after["aliases"], after["secrets"]) == ({failed.key: "PendingDeletion"}, [], {})
    failed.end()
    assert Onboarding(run, account, requestId="request-2").run_through("record_access").key != failed.key


def test_a_rollback_waits_while_another_request_writes_the_policy(run: Run, account: Account) -> None:
    key = account.key(tags=ADOPT)
    secret = account.secret("origin/token", VALUE, key=key)
    failed = Onboarding(run, account, secret=existing(secret), key={"arn": key}).run_through()
    item = {"kind": {"S": "lease"}, "id": {"S": f"policy of {secret}"}, "holder": {"S": "another"}}
    account.dynamodb.put_item(TableName=TABLE, Item=item | {"expiresAt": {"N": "4102444800"}})

    with pytest.raises(NotYetEffective):
        run("undo_onboarding", failed.undo_event)


def test_a_late_rollback_keeps_later_settings(run: Run, account: Account) -> None:
    def token_configuration(secret: str) -> dict[str, Any]:
        token = {"HeaderName": HEADER, "SecretArn": secret, "SecretStringKey": SECRET_KEY}
        return {"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": token}

    former, repaired = (account.secret(f"theirs/{name}", VALUE) for name in ("former", "repaired"))
    account.mediatailor.add(NAME, token_configuration(former))
    replacing = {"value": {"generate": {"length": 40}}, "replacesToken": True}
    failed = Onboarding(run, account, secret=replacing).run_through("configure_access")
    account.mediatailor.add(NAME, token_configuration(repaired))

    undone = run("undo_onboarding", failed.undo_event)["undone"]

    assert account.mediatailor.locations[NAME]["AccessConfiguration"] == token_configuration(repaired)
    assert not any("sourceLocation" in statements for statements in undone)


def test_a_secret_that_its_location_reads_by_a_partial_arn_is_kept(run: Run, account: Account) -> None:
    account.mediatailor.add(NAME, None)
    failed = Onboarding(run, account).run_through("configure_access")
    token = account.mediatailor.locations[NAME]["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]
    token["SecretArn"] = token["SecretArn"][: -len("-abcdef")]
    before = account_snapshot(account)

    failed.undo()

    after = account_snapshot(account)
    for part in ("keys", "policies", "secrets", "locations"):
        assert after[part] == before[part], part
    assert len(failed.left) == 1


@pytest.mark.parametrize(("operation", "number"), [("ListAliases", 2), ("DeleteAlias", 1)])
def test_a_key_with_an_alias_that_somebody_adds_during_the_rollback_is_kept(
    run: Run, account: Account, operation: str, number: int
) -> None:
    failed = Onboarding(run, account).run_through("create_key")
    at_call("kms", operation, lambda: account.kms.create_alias(AliasName="alias/theirs", TargetKeyId=failed.key), number)

    failed.undo()

    after = account_snapshot(account)
    assert after["keys"] == {failed.key: "Enabled"}
    assert "alias/theirs" in after["aliases"]
    assert not any("removing" in item for item in account.items("resource"))
    assert len(failed.left) == 1

    account.kms.delete_alias(AliasName="alias/theirs")
    failed.undo()
    assert account_snapshot(account)["keys"] == {failed.key: "PendingDeletion"}
    assert failed.left == []


def test_an_alias_that_somebody_adds_to_a_key_before_an_interruption_is_kept(run: Run, account: Account) -> None:
    failed = Onboarding(run, account).run_through("create_key")

    def add_alias() -> None:
        account.kms.create_alias(AliasName="alias/theirs", TargetKeyId=failed.key)
        account.kms.schedule_key_deletion(KeyId=failed.key.rpartition("/")[2])
        lose_connection()

    at_call("kms", "ScheduleKeyDeletion", add_alias)
    with pytest.raises(TransientAwsError):
        run("undo_onboarding", failed.undo_event)

    failed.undo()

    assert account_snapshot(account)["aliases"] == ["alias/theirs"]
    assert failed.key not in [item["id"]["S"] for item in account.items("resource")]


@pytest.mark.parametrize(
    ("service", "operation"), [("secretsmanager", "DeleteSecret"), ("kms", "DeleteAlias"), ("kms", "ScheduleKeyDeletion")]
)
def test_a_denied_deletion_blocks_no_later_request(run: Run, account: Account, service: str, operation: str) -> None:
    failed = Onboarding(run, account).run_through("create_secret")
    at_call(service, operation, answer_with_error(operation))
    with pytest.raises(AccessDenied):
        run("undo_onboarding", failed.undo_event)
    failed.end()

    assert not any("removing" in item for item in account.items("resource"))
    Onboarding(run, account, requestId="request-2").run_through("record_access")


def test_a_denied_read_before_the_deletion_of_a_secret_blocks_no_later_request(run: Run, account: Account) -> None:
    failed = Onboarding(run, account).run_through("create_secret")
    # The first read finds the secret, the second one immediately precedes the deletion.
    at_call("secretsmanager", "DescribeSecret", answer_with_error("DescribeSecret"), number=2)
    with pytest.raises(AccessDenied):
        run("undo_onboarding", failed.undo_event)
    failed.end()

    assert not any("removing" in item for item in account.items("resource"))


def test_a_secret_whose_owner_removes_the_tag_during_the_rollback_is_kept(run: Run, account: Account) -> None:
    failed = Onboarding(run, account).run_through("create_secret")

    def take() -> None:
        account.secretsmanager.untag_resource(SecretId=failed.secret, TagKeys=["latchkey:request"])

    at_call("secretsmanager", "DescribeSecret", take, number=2)

    failed.undo()

    assert failed.secret in account_snapshot(account)["secrets"]
    assert not any("removing" in item for item in account.items("resource"))
