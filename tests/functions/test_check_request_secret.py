"""check_request: the rules for new, adopted and imported secrets, and for their hosts."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.registry import registry
from tests.functions.account import ACCOUNT, ADOPT, IMPORT, OURS, OWN, REGION, TABLE, Account
from tests.functions.onboarding_requests import (
    NAME,
    SECRET_NAME,
    Run,
    check_event,
    check_rejection,
    copied,
    existing,
    onboarding,
    rejected_paths,
)

ADOPTED, IMPORTED = "secret.value.existing.secretArn", "secret.value.copyFrom.secretArn"
OWNED = {"aws:secretsmanager:owningService": "rds"}
ABSENT = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:origin/token-AbCdEf"

SECRET, ACCESS = f"secret {SECRET_NAME}", f"mediatailor/sourceLocation/{NAME}"

type Ask = Callable[..., dict[str, object]]


@pytest.fixture(autouse=True)
def any_host(stack: Callable[..., None]) -> None:
    """Allows every host; the tests of hosts override this."""
    stack(ALLOWED_ORIGIN_HOSTS="*")


both = pytest.mark.parametrize(
    ("ask", "place", "consent"), [(existing, ADOPTED, "adopt"), (copied, IMPORTED, "import")], ids=["existing", "copyFrom"]
)


@both
def test_a_missing_secret_is_rejected(run: Run, ask: Ask, place: str, consent: str) -> None:
    assert rejected_paths(run, secret=ask(ABSENT)) == {place}


@both
def test_a_secret_that_is_scheduled_for_deletion_is_rejected(
    run: Run, account: Account, ask: Ask, place: str, consent: str
) -> None:
    secret = account.secret("origin/token", "{}", {"latchkey:consent": consent})
    account.secretsmanager.delete_secret(SecretId=secret)

    assert rejected_paths(run, secret=ask(secret)) == {place}


@both
def test_a_secret_that_a_service_manages_is_rejected(run: Run, account: Account, ask: Ask, place: str, consent: str) -> None:
    secret = account.secret("origin/token", "{}", OWNED | {"latchkey:consent": consent})

    assert rejected_paths(run, secret=ask(secret)) == {place}


@both
def test_a_secret_without_consent_is_rejected(run: Run, account: Account, ask: Ask, place: str, consent: str) -> None:
    secret = account.secret("origin/token", "{}", {})

    assert rejected_paths(run, secret=ask(secret)) == {place}


def test_consent_to_an_import_is_not_consent_to_an_adoption(run: Run, account: Account) -> None:
    assert rejected_paths(run, secret=existing(account.secret("origin/token", "{}", IMPORT))) == {ADOPTED}


def test_a_secret_with_consent_passes(run: Run, account: Account) -> None:
    adopted, imported = account.secret("origin/token", "{}", ADOPT), account.secret("cdn/token", "{}", IMPORT)

    assert run("check_request", check_event(onboarding(secret=existing(adopted))))["secretArn"] == adopted
    assert run("check_request", check_event(onboarding(secret=copied(imported)) | {"requestId": "request-2"}))["needsSecret"]


@pytest.mark.parametrize("place", [f"eu-west-1:{ACCOUNT}", f"{REGION}:111122223333"], ids=["Region", "account"])
def test_a_secret_of_another_region_or_account_is_not_adopted(run: Run, place: str) -> None:
    rejected = check_rejection(run, secret=existing(f"arn:aws:secretsmanager:{place}:secret:origin/token-AbCdEf"))

    assert set(rejected) == {ADOPTED}


def test_a_secret_of_another_account_is_not_imported(run: Run) -> None:
    rejected = check_rejection(run, secret=copied(f"arn:aws:secretsmanager:{REGION}:111122223333:secret:origin/token-AbCdEf"))

    assert set(rejected) == {IMPORTED}


def test_a_secret_of_another_region_can_be_imported(run: Run, account: Account) -> None:
    secret = account.secret("origin/token", "{}", IMPORT, region="eu-west-1")

    assert run("check_request", check_event(onboarding(secret=copied(secret))))


def test_a_new_secret_has_the_prefix_of_the_stack(run: Run) -> None:
    rejected = check_rejection(run, secret={"name": "origin/token"})

    assert set(rejected) == {"secret.name"}


def test_the_name_of_a_secret_that_is_scheduled_for_deletion_is_rejected(run: Run, account: Account) -> None:
    account.secretsmanager.delete_secret(SecretId=account.secret(SECRET_NAME, "{}", OURS))

    rejected = check_rejection(run)

    assert set(rejected) == {"secret.name"}


@pytest.mark.parametrize("tags", [{}, ADOPT], ids=["foreign", "consented"])
def test_the_name_of_a_foreign_secret_is_rejected(run: Run, account: Account, tags: dict[str, str]) -> None:
    account.secret(SECRET_NAME, "{}", tags)

    assert rejected_paths(run) == {"secret.name"}


def test_a_secret_leaves_a_customer_managed_key_only_on_request(run: Run, account: Account) -> None:
    former = account.key(tags=ADOPT)
    secret = account.secret("origin/token", "{}", ADOPT, key=former)

    assert rejected_paths(run, secret=existing(secret)) == {ADOPTED}
    assert run("check_request", check_event(onboarding(secret=existing(secret, moveKey=True))))


def test_a_secret_of_latchkey_leaves_its_key_only_on_request(run: Run, account: Account) -> None:
    account.secret(SECRET_NAME, "{}", OWN, key=account.key())

    assert rejected_paths(run) == {"secret.name"}


def test_a_secret_under_the_requested_key_passes(run: Run, account: Account) -> None:
    key = account.key(tags=ADOPT)
    secret = account.secret("origin/token", "{}", ADOPT, key=key)

    assert run("check_request", check_event(onboarding(secret=existing(secret), key={"arn": key})))


def test_a_secret_under_the_default_key_passes(run: Run, account: Account) -> None:
    assert run("check_request", check_event(onboarding(secret=existing(account.secret("origin/token", "{}")))))


def test_an_existing_token_does_not_go_to_a_new_host(run: Run, account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*.example.net")
    secret = account.secret("origin/token", "{}")

    assert rejected_paths(run, secret=existing(secret)) == {"resource.baseUrl"}
    elsewhere = onboarding(secret=existing(secret), resource={"baseUrl": "https://cdn.example.net/vod"})
    assert run("check_request", check_event(elsewhere | {"requestId": "request-2"}))


def record(run: Run, account: Account, secret_arn: str, **members: Any) -> None:
    """Records an access that was onboarded before."""
    resources = {"keyArn": account.key(), "secretArn": secret_arn}
    event = {"request": onboarding(**members), "resources": resources, "status": "active"}
    run("record_access", event)
    registry().resources.refer(f"secret {secret_arn.split(':', 6)[6][:-7]}", ACCESS)


def test_a_host_is_known_only_after_its_access_was_recorded(run: Run, account: Account, stack: Callable[..., None]) -> None:
    secret = account.secret("origin/token", "{}")
    run("check_request", check_event(onboarding(secret=existing(secret))))
    stack(ALLOWED_ORIGIN_HOSTS="")

    assert rejected_paths(run, secret=existing(secret), requestId="request-2") == {"resource.baseUrl"}


def test_the_token_of_a_failed_request_can_go_to_any_host(run: Run, account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="")
    account.secret(SECRET_NAME, "{}", OWN, key=account.key(alias="alias/latchkey/mediatailor"))
    elsewhere = onboarding(resource={"baseUrl": "https://new.example.org/vod"})
    assert rejected_paths(run, resource=elsewhere["resource"]) == {"resource.baseUrl"}, "an older version proves nothing"

    registry().resources.begin_secret(SECRET, ACCESS)
    assert run("check_request", check_event(elsewhere | {"requestId": "request-2"}))

    registry().resources.note_configured(SECRET, "arn:aws:mediatailor:us-east-1:1:sourceLocation/one")
    assert rejected_paths(run, resource=elsewhere["resource"], requestId="request-3") == {"resource.baseUrl"}


def test_the_hosts_of_a_secret_of_another_registry_are_unknown(run: Run, account: Account, stack: Callable[..., None]) -> None:
    """A secret of another stack, or of a stack that was deleted and deployed again, has the same tags."""
    stack(ALLOWED_ORIGIN_HOSTS="")
    account.secret(SECRET_NAME, "{}", OWN, key=account.key(alias="alias/latchkey/mediatailor"))
    registry().resources.forget(SECRET)

    rejected = rejected_paths(run, resource={"baseUrl": "https://attacker.example.org/vod"})
    assert rejected == {"secret.name", "resource.baseUrl"}


def test_a_secret_that_is_found_by_name_serves_only_its_access(run: Run, account: Account) -> None:
    account.secret(SECRET_NAME, "{}", OWN | {"latchkey:access": f"mediatailor/sourceLocation/{NAME}-2"})

    assert rejected_paths(run) == {"secret.name"}


def test_a_secret_of_latchkey_is_copied_only_with_consent(run: Run, account: Account) -> None:
    secret = account.secret("latchkey/origin/token", "{}", OURS)

    assert rejected_paths(run, secret=copied(secret)) == {IMPORTED}


def test_a_region_that_does_not_exist_is_rejected(run: Run) -> None:
    rejected = check_rejection(run, secret=copied(f"arn:aws:secretsmanager:us-east-9:{ACCOUNT}:secret:origin/token-AbCdEf"))

    assert set(rejected) == {IMPORTED}


def test_a_shared_secret_keeps_its_token_and_its_key(run: Run, account: Account) -> None:
    account.secret(SECRET_NAME, "{}", OWN, key=account.key())
    registry().resources.refer(SECRET, f"{ACCESS}-2")

    source = account.secret("origin/token", "{}", IMPORT)
    rejected = check_rejection(run, secret=copied(source, moveKey=True))

    assert set(rejected) == {"secret.value.copyFrom", "secret.moveKey"}


def test_an_existing_token_goes_to_a_host_that_already_receives_it(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    secret = account.secret("origin/token", "{}")
    record(run, account, secret, secret=existing(secret))

    stack(ALLOWED_ORIGIN_HOSTS="")

    another = onboarding(secret=existing(secret), resource={"sourceLocation": f"{NAME}-2"}) | {"requestId": "request-2"}
    assert run("check_request", check_event(another))["accessId"] == f"mediatailor/sourceLocation/{NAME}-2"


def test_a_token_of_latchkey_does_not_go_to_a_new_host(run: Run, account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="")
    key = account.key(alias="alias/latchkey/mediatailor")
    record(run, account, account.secret(SECRET_NAME, "{}", OWN, key=key))

    rejected = check_rejection(run, resource={"baseUrl": "https://attacker.example.org/vod"})

    assert set(rejected) == {"resource.baseUrl"}


def test_a_resource_policy_with_deleted_principals_is_rejected(run: Run, account: Account) -> None:
    secret = account.secret("origin/token", "{}", ADOPT)
    reading = {"Effect": "Allow", "Principal": {"AWS": "AROAEXAMPLE1234567890"}, "Action": "secretsmanager:GetSecretValue"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [reading | {"Resource": "*"}]})
    account.secretsmanager.put_resource_policy(SecretId=secret, ResourcePolicy=policy)

    rules = check_rejection(run, secret=existing(secret))

    assert set(rules) == {ADOPTED}
    assert "AROAEXAMPLE1234567890" in rules[ADOPTED]


def test_a_copy_goes_only_to_hosts_that_receive_its_source(run: Run, account: Account, stack: Callable[..., None]) -> None:
    source = account.secret("origin/token", "{}", ADOPT)
    record(run, account, source, secret=existing(source))
    account.secretsmanager.tag_resource(SecretId=source, Tags=[{"Key": "latchkey:consent", "Value": "import"}])
    stack(ALLOWED_ORIGIN_HOSTS="")
    here = {"sourceLocation": f"{NAME}-2"}
    elsewhere = here | {"baseUrl": "https://elsewhere.example.org/vod"}

    assert rejected_paths(run, requestId="request-2", secret=copied(source), resource=elsewhere) == {"resource.baseUrl"}
    request = onboarding(requestId="request-3", secret=copied(source), resource=here)
    assert run("check_request", check_event(request))


def test_the_copy_of_a_failed_request_stays_bound_to_its_source(run: Run, account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="")
    account.secret(SECRET_NAME, "{}", OWN, key=account.key(alias="alias/latchkey/mediatailor"))
    registry().resources.begin_secret(SECRET, ACCESS)
    registry().resources.note_copy(SECRET, ABSENT)

    assert rejected_paths(run) == {"resource.baseUrl"}


@pytest.mark.parametrize(
    ("status", "reached", "known"),
    [("active", "active", True), ("revoked", "active", False), ("handed-off", "handed-off", False), ("gone", "active", False)],
)
def test_the_hosts_of_a_secret_are_those_of_its_active_accesses(
    run: Run, account: Account, status: str, reached: str, known: bool
) -> None:
    secret = account.secret("origin/token", "{}")
    record(run, account, secret, secret=existing(secret))
    account.dynamodb.update_item(
        TableName=TABLE,
        Key={"kind": {"S": "access"}, "id": {"S": ACCESS}},
        UpdateExpression="SET #status = :status, reached = :reached",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":status": {"S": status}, ":reached": {"S": reached}},
    )

    assert registry().origin_hosts(secret, "mediatailor/sourceLocation/another") == ({"origin.example.com"} if known else set())
    # The access itself can be repaired with its own host.
    assert registry().origin_hosts(secret, ACCESS) == ({"origin.example.com"} if reached == "active" else set())
