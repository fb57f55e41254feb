"""undo_onboarding: what a failed request made is gone, what it found or shares is as it was, and once more changes nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.aws import clients
from latchkey.errors import NotYetEffective, TransientAwsError
from tests.functions.account import ACCOUNT, ADOPT, ROOT, TABLE, Account
from tests.functions.onboarding_requests import HEADER, NAME, SECRET_KEY, SECRET_NAME, Run, existing
from tests.functions.onboarding_steps import Onboarding, account_snapshot, key_statements, policy, references, secret_statements

ALIAS = "alias/latchkey/mediatailor"
VALUE = json.dumps({SECRET_KEY: "a" * 20})
SEGMENTS = {"DefaultSegmentDeliveryConfiguration": {"BaseUrl": "https://cdn.example.com"}}
WHOLE = {"Sid": "Whole", "Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
FOREIGN = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "secretsmanager:DescribeSecret", "Resource": "*"}
OTHER = {"sourceLocation": "news-origin"}


@pytest.fixture(autouse=True)
def any_host(stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")


STEPS = ["create_key", "create_secret", "attach_policies", "configure_access"]


@pytest.mark.parametrize("until", STEPS)
def test_what_the_request_made_is_removed_however_far_it_came(run: Run, account: Account, until: str) -> None:
    failed = Onboarding(run, account).run_through(until)

    undone = failed.undo()

    after = account_snapshot(account)
    assert after["keys"] == {failed.key: "PendingDeletion"}
    assert (after["aliases"], after["secrets"], after["locations"]) == ([], {}, {})
    at = STEPS.index(until)
    assert len(undone) == 1 + (at >= 1) + (at >= 3)
    assert any(failed.key in step for step in undone)


def test_a_request_that_made_nothing_leaves_no_reference(run: Run, account: Account) -> None:
    failed = Onboarding(run, account).run_through("check_request")

    assert failed.undo() == []
    assert references(account) == {}


def test_where_no_request_was_understood_nothing_is_undone(run: Run, account: Account) -> None:
    before = account.snapshot()

    assert run("undo_onboarding", {"request": None, "executionArn": "arn:execution"}) == {"undone": []}
    assert account.snapshot() == before


def test_after_an_undo_the_same_request_can_be_made_again(run: Run, account: Account) -> None:
    first = Onboarding(run, account).run_through()
    first.undo()
    first.end()

    second = Onboarding(run, account, requestId="request-2").run_through("record_access")

    assert second.key != first.key
    assert account.kms.describe_key(KeyId=ALIAS)["KeyMetadata"]["Arn"] == second.key
    assert NAME in account.mediatailor.locations


def test_what_is_shared_stays_with_the_others_statements(run: Run, account: Account) -> None:
    mine, theirs = account.role("Mine", "/media/"), account.role("Theirs", "/media/")
    first = Onboarding(run, account, secret={"originReaders": [theirs]}).run_through("record_access")
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


def test_a_key_that_another_access_came_to_use_stays(run: Run, account: Account) -> None:
    failed = Onboarding(run, account).run_through()
    other = Onboarding(run, account, requestId="request-2", resource=OTHER).run_through()

    undone = failed.undo()

    after = account_snapshot(account)
    assert after["keys"] == {failed.key: "Enabled"}
    assert after["aliases"] == [ALIAS]
    assert list(after["secrets"]) == [other.secret]
    assert any(failed.key in step for step in undone)
    told = json.dumps(key_statements(account, failed.key))
    assert "mediatailor/news-origin/token" in told
    assert SECRET_NAME not in told
    assert references(account)[failed.key] == [other.checked["accessId"]]


def test_adopted_key_and_secret_have_their_former_policies(run: Run, account: Account) -> None:
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


def test_an_adopted_secret_without_a_policy_has_none_again(run: Run, account: Account) -> None:
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
def test_a_key_that_an_adopted_secret_moved_to_is_not_deleted_under_it(run: Run, account: Account, under: str) -> None:
    secret = account.secret("origin/token", VALUE, key=account.key(tags=ADOPT) if under == "another key" else None)
    failed = Onboarding(run, account, secret=existing(secret, moveKey=True)).run_through("attach_policies")

    failed.undo()

    key = account.secretsmanager.describe_secret(SecretId=secret).get("KmsKeyId")
    assert key is None or account.kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"


def test_an_active_access_whose_next_request_fails_is_as_it_was(run: Run, account: Account) -> None:
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
def test_a_request_that_never_had_the_access_takes_nothing_from_the_one_that_has(
    run: Run, account: Account, there: bool
) -> None:
    """It failed in Check value, or waited in vain in Check request: both lead to the undo."""
    if there:
        account.mediatailor.add(NAME, **SEGMENTS)
    Onboarding(run, account).run_through()
    second = Onboarding(run, account, requestId="request-2")
    with pytest.raises(NotYetEffective):
        second.run_through("check_request")
    before = account_snapshot(account)

    undone = run("undo_onboarding", second.undo_event)["undone"]

    # Its own request id is all that it may leave.
    after = account_snapshot(account)
    assert (undone, {part for part in before if after[part] != before[part]}) == ([], set())


TOKEN = {
    "HeaderName": HEADER,
    "SecretArn": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:former-AbCdEf",
    "SecretStringKey": "former",
}
SENT = {"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": TOKEN}


@pytest.mark.parametrize("access", [{"AccessType": "S3_SIGV4"}, SENT, None], ids=["signed", "another token", "open"])
def test_a_location_that_was_there_has_its_former_settings(run: Run, account: Account, access: dict[str, Any] | None) -> None:
    account.mediatailor.add(NAME, access, tags={"owner": "somebody"}, **SEGMENTS)
    before = json.loads(json.dumps(account.mediatailor.locations[NAME]))

    undone = Onboarding(run, account, secret={"replacesToken": True}).run_through().undo()

    after = account.mediatailor.locations[NAME]
    assert {name: value for name, value in after.items() if value} == before
    assert any(f"sourceLocation/{NAME}" in step for step in undone)


def test_a_setting_of_a_location_that_somebody_changed_since_stays(run: Run, account: Account) -> None:
    account.mediatailor.add(NAME, None, tags={"owner": "somebody"})
    failed = Onboarding(run, account).run_through()
    account.mediatailor.locations[NAME] |= SEGMENTS

    failed.undo()

    after = account.mediatailor.locations[NAME]
    assert {member: after[member] for member in SEGMENTS} == SEGMENTS
    assert not after.get("AccessConfiguration")


def test_a_location_that_the_request_never_touched_is_left(run: Run, account: Account) -> None:
    account.mediatailor.add(NAME, tags={"latchkey:request": "request-1", "latchkey:managed-by": "latchkey"})

    Onboarding(run, account).run_through("attach_policies").undo()

    assert [method for method, _ in account.mediatailor.writes] == []


def test_a_location_that_somebody_else_made_meanwhile_is_left(run: Run, account: Account) -> None:
    failed = Onboarding(run, account).run_through()
    account.mediatailor.locations[NAME]["tags"] = {"owner": "somebody"}

    failed.undo()

    assert NAME in account.mediatailor.locations


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
def test_an_undo_that_breaks_off_is_finished_by_its_retry(
    run: Run, account: Account, service: str, operation: str, when: str
) -> None:
    failed = Onboarding(run, account).run_through()
    times = [TransientAwsError("an answer that never came")]

    def break_off(**_: Any) -> None:
        if times:
            raise times.pop()

    client: Any = {"kms": clients.kms, "dynamodb": clients.dynamodb, "secrets-manager": clients.secretsmanager}[service]()
    client.meta.events.register(f"{when}.{service}.{operation}", break_off)
    with pytest.raises(TransientAwsError):
        run("undo_onboarding", failed.undo_event)

    failed.undo()

    after = account_snapshot(account)
    assert (after["keys"], after["aliases"], after["secrets"]) == ({failed.key: "PendingDeletion"}, [], {})
    failed.end()
    assert Onboarding(run, account, requestId="request-2").run_through("record_access").key != failed.key


def test_while_another_request_writes_the_policy_the_undo_waits(run: Run, account: Account) -> None:
    key = account.key(tags=ADOPT)
    secret = account.secret("origin/token", VALUE, key=key)
    failed = Onboarding(run, account, secret=existing(secret), key={"arn": key}).run_through()
    item = {"kind": {"S": "lease"}, "id": {"S": f"policy of {secret}"}, "holder": {"S": "another"}}
    account.dynamodb.put_item(TableName=TABLE, Item=item | {"expiresAt": {"N": "4102444800"}})

    with pytest.raises(NotYetEffective):
        run("undo_onboarding", failed.undo_event)


def test_a_late_undo_leaves_what_somebody_set_since(run: Run, account: Account) -> None:
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
    assert not any("sourceLocation" in told for told in undone)
