"""create_secret: generated, imported and checked values."""

import json
from typing import Any

import pytest

from latchkey.aws import clients
from latchkey.errors import Conflict, InvalidRequest, NotYetEffective, TransientAwsError
from tests.functions.account import ADOPT, IMPORT, OURS, OWN, Account
from tests.functions.fault_injection import answer_with_error, at_call
from tests.functions.onboarding_requests import SECRET_KEY, SECRET_NAME, Run, copied, existing, onboarding, rejection

BAD_VALUES = {
    "not JSON": "letters-alone",
    "JSON but not an object": '["letters-alone"]',
    "without the member": '{"other": "letters-alone"}',
    "a member that is not a string": '{"MyAccessTokenIdentifier": 12345678}',
    "7 characters": json.dumps({SECRET_KEY: "a" * 7}),
    "129 characters": json.dumps({SECRET_KEY: "a" * 129}),
}
GOOD_VALUES = {"8 characters": "a" * 8, "128 characters": "a" * 128}
bad_values = pytest.mark.parametrize("value", BAD_VALUES.values(), ids=BAD_VALUES)


def to_create(account: Account, **members: Any) -> dict[str, Any]:
    """The input with an existing key."""
    key = account.key(alias="alias/latchkey/mediatailor")
    return {"request": onboarding(**members), "key": {"arn": key, "changed": False}}


def value_problems(run: Run, **members: Any) -> list[str]:
    """The paths of the problems that the value check finds before there is a key."""
    checked = run("create_secret", {"request": onboarding(**members)})
    return [finding["place"] for finding in checked["findings"]]


@pytest.mark.parametrize("length", [8, 40, 128])
def test_a_new_secret_is_json_with_a_token_of_the_requested_length_under_the_key(
    run: Run, account: Account, length: int
) -> None:
    event = to_create(account, secret={"value": {"generate": {"length": length}}}, tags={"team": "sports"})

    made = run("create_secret", event)

    found = account.secretsmanager.describe_secret(SecretId=SECRET_NAME)
    assert (made["arn"], made["changed"]) == (found["ARN"], True)
    assert found["KmsKeyId"] == event["key"]["arn"]
    assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == {
        "team": "sports",
        "latchkey:managed-by": "latchkey",
        "latchkey:request": "request-1",
        "latchkey:stack": "latchkey",
        "latchkey:tenant": "default",
        "latchkey:access": "mediatailor/sourceLocation/sports-origin",
    }
    [(member, token)] = json.loads(account.value(made["arn"])).items()
    assert (member, len(token)) == (SECRET_KEY, length)
    assert token.isalnum()


def test_a_name_that_a_forced_deletion_has_not_freed_yet_is_not_yet_effective(run: Run, account: Account) -> None:
    """Secrets Manager deletes asynchronously, so a rollback can leave the name taken for a while."""
    event = to_create(account)
    at_call("secretsmanager", "CreateSecret", answer_with_error("CreateSecret", "InvalidRequestException"))

    with pytest.raises(NotYetEffective, match=SECRET_NAME):
        run("create_secret", event)

    assert run("create_secret", event)["changed"] is True


def test_a_secret_that_is_being_deleted_is_not_yet_effective(run: Run, account: Account) -> None:
    event = to_create(account)
    run("create_secret", event)
    account.secretsmanager.delete_secret(SecretId=SECRET_NAME)

    with pytest.raises(NotYetEffective, match=SECRET_NAME):
        run("create_secret", event)


def test_two_secrets_have_different_tokens(run: Run, account: Account) -> None:
    event = to_create(account)
    first = run("create_secret", event)
    second = run("create_secret", event | {"request": onboarding(secret={"name": "latchkey/another"})})

    assert account.value(first["arn"]) != account.value(second["arn"])


def test_creating_twice_creates_one_version(run: Run, account: Account) -> None:
    event = to_create(account)
    first = run("create_secret", event)
    before = account.snapshot()

    assert run("create_secret", event) == first, "a retry returns what its request changed"
    assert account.snapshot() == before
    later = event | {"request": onboarding(requestId="request-2"), "ownSecretArn": first["arn"]}
    assert run("create_secret", later) == first | {"changed": False}
    assert account.snapshot() == before


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
@pytest.mark.parametrize("key", [None, "password"])
def test_an_imported_token_has_the_format_of_the_service(run: Run, account: Account, region: str, key: str | None) -> None:
    token = "c" * 20
    source = account.secret("origin/token", json.dumps({key: token}) if key else token, IMPORT, region=region)

    made = run("create_secret", to_create(account, secret=copied(source, key)))

    assert json.loads(account.value(made["arn"])) == {SECRET_KEY: token}


def test_importing_twice_changes_nothing_and_a_new_value_creates_a_new_version(run: Run, account: Account) -> None:
    source = account.secret("origin/token", "c" * 20, IMPORT)
    event = to_create(account, secret=copied(source))
    first = run("create_secret", event)
    before = account.snapshot()

    assert run("create_secret", event) == first
    assert account.snapshot() == before

    account.secretsmanager.put_secret_value(SecretId=source, SecretString="d" * 20)
    later = event | {"request": event["request"] | {"requestId": "request-2"}, "ownSecretArn": first["arn"]}
    assert run("create_secret", later) == first
    assert json.loads(account.value(first["arn"])) == {SECRET_KEY: "d" * 20}


@pytest.mark.parametrize("present", ["not-json-at-all", '["a-list"]', '"a-text"'], ids=["no JSON", "list", "text"])
def test_an_import_into_a_value_that_is_not_an_object_is_a_conflict_without_the_value(
    run: Run, account: Account, present: str
) -> None:
    event = to_create(account, secret=copied(account.secret("origin/token", "c" * 20, IMPORT)))
    made = run("create_secret", event)["arn"]
    account.secretsmanager.put_secret_value(SecretId=made, SecretString=present)
    before = account.snapshot()

    with pytest.raises(Conflict) as caught:
        run("create_secret", event)

    assert present not in str(caught.value)
    assert account.snapshot() == before


@bad_values
def test_an_import_of_an_invalid_value_is_rejected_and_changes_nothing(run: Run, account: Account, value: str) -> None:
    event = to_create(account, secret=copied(account.secret("origin/token", value, IMPORT), SECRET_KEY))
    before = account.snapshot()

    assert set(rejection(run, "create_secret", event)) == {"secret.value.copyFrom"}
    assert account.snapshot() == before


@pytest.mark.parametrize("value", ["a" * 7, "a" * 129], ids=["7 characters", "129 characters"])
def test_a_plain_text_value_has_the_same_length_limits(run: Run, account: Account, value: str) -> None:
    source = account.secret("origin/token", value, IMPORT)

    assert value_problems(run, secret=copied(source)) == ["secret.value.copyFrom"]


@bad_values
@pytest.mark.parametrize("way", ["copyFrom", "existing"])
def test_the_value_check_finds_an_invalid_value(run: Run, account: Account, way: str, value: str) -> None:
    secret = account.secret("origin/token", value, IMPORT if way == "copyFrom" else ADOPT)
    before = account.snapshot()

    found = value_problems(run, secret=copied(secret, SECRET_KEY) if way == "copyFrom" else existing(secret))

    assert found == [f"secret.value.{way}"]
    assert account.snapshot() == before


@bad_values
def test_the_value_check_finds_an_invalid_value_in_a_secret_of_latchkey(run: Run, account: Account, value: str) -> None:
    account.secret(SECRET_NAME, value, OWN)

    assert value_problems(run) == ["secret.name"]


@pytest.mark.parametrize("token", GOOD_VALUES.values(), ids=GOOD_VALUES)
def test_the_value_check_accepts_a_valid_value(run: Run, account: Account, token: str) -> None:
    secret = account.secret("origin/token", json.dumps({SECRET_KEY: token}))

    assert value_problems(run, secret=existing(secret)) == []


def test_a_binary_value_is_not_json(run: Run, account: Account) -> None:
    secret = account.secretsmanager.create_secret(
        Name="origin/binary", SecretBinary=b"letters", Tags=[{"Key": "latchkey:consent", "Value": "adopt"}]
    )["ARN"]

    assert value_problems(run, secret=existing(secret)) == ["secret.value.existing"]


def test_a_secret_that_does_not_exist_yet_is_unreadable(run: Run) -> None:
    assert run("create_secret", {"request": onboarding()}) == {"findings": [], "unreadable": True, "replacesValue": None}


def test_a_secret_that_is_scheduled_for_deletion_is_unreadable(run: Run, account: Account) -> None:
    secret = account.secret("origin/token", "letters")
    account.secretsmanager.delete_secret(SecretId=secret)

    result = run("create_secret", {"request": onboarding(secret=existing(secret))})

    assert result == {"findings": [], "unreadable": True, "replacesValue": None}


@pytest.mark.parametrize(("code", "unreadable"), [("AccessDeniedException", True), ("ThrottlingException", False)])
def test_a_denied_read_is_unreadable_and_a_throttled_read_is_retried(
    run: Run, account: Account, code: str, unreadable: bool
) -> None:
    secret = account.secret("origin/token", json.dumps({SECRET_KEY: "a" * 20}))
    refused = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    events: Any = clients.secretsmanager("us-east-1").meta.events
    events.register(
        "before-call.secrets-manager.GetSecretValue", lambda **_: (type("Answer", (), {"status_code": 400})(), refused)
    )
    event = {"request": onboarding(secret=existing(secret))}

    if unreadable:
        assert run("create_secret", event) == {"findings": [], "unreadable": True, "replacesValue": None}
    else:
        with pytest.raises(TransientAwsError):
            run("create_secret", event)


@pytest.mark.parametrize("tags", [OURS, OURS | {"latchkey:access": "mediatailor/sourceLocation/news-origin"}])
def test_a_secret_that_was_created_for_another_access_in_the_meantime_is_a_conflict(
    run: Run, account: Account, tags: dict[str, str]
) -> None:
    event = to_create(account)
    secret = account.secret(SECRET_NAME, "{}", tags)

    with pytest.raises(Conflict):
        run("create_secret", event)

    assert account.value(secret) == "{}"


def test_an_adopted_secret_that_was_deleted_is_not_created(run: Run, account: Account) -> None:
    secret = account.secret("origin/token", json.dumps({SECRET_KEY: "a" * 20}))
    event = to_create(account, secret=existing(secret))
    account.secretsmanager.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)

    with pytest.raises(Conflict):
        run("create_secret", event)


def test_the_rejection_of_a_value_has_no_cause_that_contains_it(run: Run, account: Account) -> None:
    event = to_create(account, secret=copied(account.secret("origin/token", "a" * 7, IMPORT)))

    with pytest.raises(InvalidRequest) as caught:
        run("create_secret", event)

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
