"""attach_policies: our statements are merged, foreign ones are kept, and the secret moves to the key."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from latchkey.aws import clients
from latchkey.errors import AccessDenied, Conflict, LatchkeyError, NotYetEffective, TransientAwsError
from latchkey.policies import KEY_VALIDATION
from tests.functions.account import ACCOUNT, ADOPT, OURS, ROOT, Account
from tests.functions.onboarding_requests import EXECUTION, SECRET_KEY, Run, check_event, existing, onboarding

ROLE = f"arn:aws:iam::{ACCOUNT}:role/media/Origin"
VALUE = json.dumps({SECRET_KEY: "a" * 20})
WHOLE = {"Sid": "Whole", "Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
FOREIGN = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "secretsmanager:DescribeSecret", "Resource": "*"}
NAMED = FOREIGN | {"Sid": "Readers"}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [*statements]})


class Pair:
    """A key and a secret before their policies are attached."""

    def __init__(self, account: Account, secret_key: str | None = "same") -> None:
        self.account = account
        self.key = account.key(tags=ADOPT)
        account.kms.put_key_policy(KeyId=self.key, PolicyName="default", Policy=policy(WHOLE))
        self.secret = account.secret("origin/token", VALUE, ADOPT, key=self.key if secret_key == "same" else secret_key)

    def event(self, **members: Any) -> dict[str, Any]:
        key = {"arn": self.key, "changed": False} | members.pop("key_facts", {})
        return {"request": onboarding(**members), "key": key, "secretArn": self.secret}

    def statements(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The statements of the key policy and of the resource policy."""
        key = self.account.kms.get_key_policy(KeyId=self.key, PolicyName="default")["Policy"]
        secret = self.account.secretsmanager.get_resource_policy(SecretId=self.secret)["ResourcePolicy"]
        return json.loads(key)["Statement"], json.loads(secret)["Statement"]

    def under(self) -> str | None:
        found: str | None = self.account.secretsmanager.describe_secret(SecretId=self.secret).get("KmsKeyId")
        return found


@pytest.fixture
def pair(account: Account) -> Pair:
    return Pair(account)


def test_the_service_can_read_only_this_secret(run: Run, pair: Pair) -> None:
    attached = run("attach_policies", pair.event())

    assert (attached["arn"], attached["changed"]) == (pair.secret, True)
    _, [admitting] = pair.statements()
    assert admitting == {
        "Sid": "LatchkeyMediatailorReading",
        "Effect": "Allow",
        "Principal": {"Service": "mediatailor.amazonaws.com"},
        "Action": "secretsmanager:GetSecretValue",
        "Resource": pair.secret,
    }


def test_attaching_twice_changes_nothing_and_releases_the_leases(run: Run, pair: Pair) -> None:
    run("attach_policies", pair.event(secret={"originReaders": [ROLE]}))
    before = pair.account.snapshot()

    again = run("attach_policies", pair.event(secret={"originReaders": [ROLE]}))

    assert again["changed"] is False
    assert pair.account.snapshot() == before
    assert before["table"] == pair.account.items("journal")


def test_every_foreign_statement_is_kept_even_duplicates_and_statements_without_a_sid(run: Run, pair: Pair) -> None:
    pair.account.secretsmanager.put_resource_policy(SecretId=pair.secret, ResourcePolicy=policy(NAMED, NAMED, FOREIGN))

    run("attach_policies", pair.event())

    key_statements, secret_statements = pair.statements()
    assert key_statements[0] == WHOLE
    assert secret_statements[:3] == [NAMED, NAMED, FOREIGN]


def test_a_second_access_only_adds_to_the_statements(run: Run, pair: Pair) -> None:
    other = f"arn:aws:iam::{ACCOUNT}:role/media/Other"
    run("attach_policies", pair.event(secret={"originReaders": [ROLE]}))
    run("attach_policies", pair.event(secret={"originReaders": [other]}, resource={"sourceLocation": "news-origin"}))

    _, statements = pair.statements()
    [reading] = [statement for statement in statements if statement["Sid"] == "LatchkeyOriginReaders"]
    assert reading["Principal"] == {"AWS": sorted([ROLE, other])}


def refer(run: Run, pair: Pair, request: dict[str, Any]) -> None:
    """Refers another access to the pair while its request is running."""
    shared = request | {"secret": {**request["secret"], "value": {"existing": {"secretArn": pair.secret}}}}
    run("create_key", {"request": shared | {"key": {"arn": pair.key}}})
    run("check_request", check_event(shared | {"key": {"arn": pair.key}}, contentHash="d" * 64, executionArn=f"{EXECUTION}-2"))


def test_key_administrators_are_rejected_if_another_access_uses_the_key_by_now(
    run: Run, pair: Pair, stack: Callable[..., None]
) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    request = onboarding(resource={"sourceLocation": "news-origin"}, secret={"originReaders": []})
    refer(run, pair, request | {"requestId": "request-2"})
    before = pair.account.snapshot()

    with pytest.raises(Conflict):
        run("attach_policies", pair.event(key={"administrators": [ROLE], "allowDeletion": True}))

    assert pair.account.snapshot() == before


def test_key_administrators_are_added_to_a_key_that_the_request_created(
    run: Run, pair: Pair, stack: Callable[..., None]
) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    request = onboarding(resource={"sourceLocation": "news-origin"}, secret={"originReaders": []})
    refer(run, pair, request | {"requestId": "request-2"})

    assert run("attach_policies", pair.event(key={"administrators": [ROLE]}, key_facts={"changed": True}))["changed"]


def test_lost_statements_of_other_accesses_are_restored(run: Run, pair: Pair, stack: Callable[..., None]) -> None:
    """A policy that is read can be older than the last one that was written."""
    other = pair.account.role("Other", "/media/")
    stack(ALLOWED_ORIGIN_HOSTS="*")
    request = onboarding(resource={"sourceLocation": "news-origin"}, secret={"originReaders": [other]})
    refer(run, pair, request | {"requestId": "request-2"})
    event = pair.event(secret={"originReaders": [ROLE], "value": {"existing": {"secretArn": pair.secret}}})

    run("attach_policies", event)

    key_statements, secret_statements = pair.statements()
    [reading] = [statement for statement in secret_statements if statement["Sid"] == "LatchkeyOriginReaders"]
    assert reading["Principal"] == {"AWS": sorted([ROLE, other])}
    [decrypting] = [statement for statement in key_statements if statement["Action"] == "kms:Decrypt"]
    assert {ROLE, other} <= set(decrypting["Principal"]["AWS"])


def test_a_deny_under_a_sid_of_latchkey_is_a_conflict_and_is_kept(run: Run, pair: Pair) -> None:
    denial = NAMED | {"Sid": "LatchkeyMediatailorReading", "Effect": "Deny"}
    pair.account.secretsmanager.put_resource_policy(SecretId=pair.secret, ResourcePolicy=policy(denial))

    with pytest.raises(Conflict):
        run("attach_policies", pair.event())

    assert pair.statements()[1] == [denial]
    assert pair.account.items("lease") == []


def test_the_resource_policy_is_written_with_public_policies_blocked(run: Run, pair: Pair) -> None:
    asked: list[bool] = []
    # moto ignores the parameter, so the call is inspected.
    clients.secretsmanager_without_retries().meta.events.register(
        "before-parameter-build.secrets-manager.PutResourcePolicy",
        lambda params, **_: asked.append(params["BlockPublicPolicy"]),
    )

    run("attach_policies", pair.event())

    assert asked == [True]


def test_a_secret_leaving_the_default_key_keeps_its_readers(run: Run, account: Account) -> None:
    pair = Pair(account, secret_key=None)

    assert run("attach_policies", pair.event())["changed"] is True

    [former] = [statement for statement in pair.statements()[0] if statement.get("Sid") == "LatchkeyFormerDefaultKey"]
    assert former["Condition"]["StringEquals"]["kms:CallerAccount"] == ACCOUNT
    assert former["Condition"]["StringLike"] == {"kms:EncryptionContext:SecretARN": [KEY_VALIDATION, pair.secret]}
    assert pair.under() == pair.key
    assert account.value(pair.secret) == VALUE


def test_a_secret_moves_to_the_key_after_both_policies_are_written(run: Run, account: Account) -> None:
    pair = Pair(account, secret_key=account.key(tags=ADOPT))
    order: list[str] = []
    for client, operation in (
        (clients.kms_without_retries(), "PutKeyPolicy"),
        (clients.secretsmanager_without_retries(), "PutResourcePolicy"),
    ):
        client.meta.events.register(f"before-call.*.{operation}", lambda model, **_: order.append(model.name))
    clients.secretsmanager_without_retries().meta.events.register(
        "before-call.*.UpdateSecret", lambda model, **_: order.append(model.name)
    )

    run("attach_policies", pair.event(secret={"moveKey": True}))

    assert order == ["PutKeyPolicy", "PutResourcePolicy", "UpdateSecret"]
    assert pair.under() == pair.key


def test_a_concurrent_write_that_removes_our_statements_is_detected(run: Run, pair: Pair) -> None:
    def overwrite(**_: Any) -> None:
        pair.account.kms.put_key_policy(KeyId=pair.key, PolicyName="default", Policy=policy(WHOLE))

    clients.kms_without_retries().meta.events.register("after-call.kms.PutKeyPolicy", overwrite)

    with pytest.raises(TransientAwsError):
        run("attach_policies", pair.event())

    assert pair.account.items("lease") == []


class ConcurrentWriter:
    """Adds a new statement to both policies at every call; `statements` must all be kept."""

    def __init__(self, pair: Pair) -> None:
        self._account, self._key, self._secret = pair.account, pair.key, pair.secret
        self.written: list[dict[str, Any]] = []
        self._account.secretsmanager.put_resource_policy(SecretId=self._secret, ResourcePolicy=policy(FOREIGN))

    def __call__(self, **_: Any) -> None:
        added = NAMED | {"Sid": f"ConcurrentWriter{len(self.written)}"}
        key = self._account.kms.get_key_policy(KeyId=self._key, PolicyName="default")["Policy"]
        secret = self._account.secretsmanager.get_resource_policy(SecretId=self._secret)["ResourcePolicy"]
        key_policy, secret_policy = (policy(*json.loads(text)["Statement"], added) for text in (key, secret))
        self._account.kms.put_key_policy(KeyId=self._key, PolicyName="default", Policy=key_policy)
        self._account.secretsmanager.put_resource_policy(SecretId=self._secret, ResourcePolicy=secret_policy)
        self.written.append(added)


def test_a_policy_write_during_a_registry_read_is_kept(run: Run, pair: Pair) -> None:
    person = ConcurrentWriter(pair)
    clients.dynamodb().meta.events.register("before-call.dynamodb", person)

    run("attach_policies", pair.event())

    assert person.written
    for statements in pair.statements():
        assert [statement for statement in statements if statement in person.written] == person.written


@pytest.fixture
def lose_first_response() -> Callable[..., None]:
    """Lets the first call of an operation lose its response, after another caller has acted."""

    def set_up(event: str, person: ConcurrentWriter) -> None:
        def break_connection(request: Any, **_: Any) -> None:
            if not person.written:
                person()
                raise ConnectionClosedError(endpoint_url=request.url)

        writers: tuple[Any, ...] = (clients.kms_without_retries(), clients.secretsmanager_without_retries())
        for client in writers:
            client.meta.events.register_first(event, break_connection)

    return set_up


@pytest.mark.parametrize("operation", ["kms.PutKeyPolicy", "secrets-manager.PutResourcePolicy"])
def test_a_policy_write_before_a_retry_is_kept(
    run: Run, pair: Pair, lose_first_response: Callable[..., None], operation: str
) -> None:
    person = ConcurrentWriter(pair)
    lose_first_response(f"before-send.{operation}", person)

    with pytest.raises(TransientAwsError):
        run("attach_policies", pair.event())
    run("attach_policies", pair.event())

    assert len(person.written) == 1
    for statements in pair.statements():
        assert [statement for statement in statements if statement in person.written] == person.written
        assert [statement for statement in statements if statement.get("Sid", "").startswith("Latchkey")]


def test_a_retry_repairs_a_lost_race(run: Run, pair: Pair) -> None:
    run("attach_policies", pair.event())
    before = pair.statements()
    pair.account.kms.put_key_policy(KeyId=pair.key, PolicyName="default", Policy=policy(WHOLE))

    run("attach_policies", pair.event())

    assert pair.statements() == before


def test_a_secret_that_was_deleted_in_the_meantime_is_a_conflict(run: Run, pair: Pair) -> None:
    pair.account.secretsmanager.delete_secret(SecretId=pair.secret, ForceDeleteWithoutRecovery=True)

    with pytest.raises(Conflict):
        run("attach_policies", pair.event())


@pytest.mark.parametrize(
    ("age", "code", "error"),
    [
        ("2099-01-01T00:00:00Z", "AccessDeniedException", NotYetEffective),
        ("2020-01-01T00:00:00Z", "AccessDeniedException", AccessDenied),
        (None, "AccessDeniedException", AccessDenied),
        ("2099-01-01T00:00:00Z", "NotFoundException", NotYetEffective),
        ("2020-01-01T00:00:00Z", "NotFoundException", LatchkeyError),
    ],
)
def test_access_denied_on_a_new_key_is_not_yet_effective(
    run: Run, pair: Pair, age: str | None, code: str, error: type[Exception]
) -> None:
    refused = {"Error": {"Code": code, "Message": "not everywhere yet"}}
    answer = refused | {"ResponseMetadata": {"HTTPStatusCode": 400}}

    def answer_with_error(**_: Any) -> Any:
        return type("Answer", (), {"status_code": 400})(), answer

    clients.kms_without_retries().meta.events.register("before-call.kms.PutKeyPolicy", answer_with_error)

    with pytest.raises(error) as caught:
        run("attach_policies", pair.event(key_facts={"settlesFrom": age}))

    assert type(caught.value) is error


def test_the_result_contains_the_time_of_the_last_policy_change(run: Run, pair: Pair) -> None:
    """The next step retries a service that denies access shortly after that time."""
    event, begun = pair.event(key_facts={"settlesFrom": "2020-01-01T00:00:00Z"}), datetime.now(UTC)

    attached = run("attach_policies", event)

    assert begun <= datetime.fromisoformat(attached["settlesFrom"]) <= datetime.now(UTC)
    assert run("attach_policies", event)["settlesFrom"] == "2020-01-01T00:00:00Z"


@pytest.mark.parametrize("consents", [True, False])
def test_a_secret_of_another_access_can_be_shared_with_consent(run: Run, account: Account, consents: bool) -> None:
    key = account.key()
    tags = OURS | {"latchkey:access": "mediatailor/sourceLocation/news"} | (ADOPT if consents else {})
    secret = account.secret("latchkey/sports", VALUE, tags, key=key)
    event = {"request": onboarding(secret=existing(secret)), "key": {"arn": key, "changed": True}, "secretArn": secret}

    if consents:
        assert run("attach_policies", event)["changed"]
    else:
        with pytest.raises(Conflict):
            run("attach_policies", event)


def test_a_secret_that_a_person_moved_after_the_check_stays_under_its_key(run: Run, account: Account) -> None:
    former = account.key(tags=ADOPT)
    pair = Pair(account, secret_key=former)

    with pytest.raises(Conflict):
        run("attach_policies", pair.event())

    assert pair.under() == former


def test_a_secret_that_changes_during_the_step_is_not_moved(run: Run, account: Account) -> None:
    pair, theirs = Pair(account, secret_key=None), account.key(tags=ADOPT)

    def move(**_: Any) -> None:
        account.secretsmanager.update_secret(SecretId=pair.secret, KmsKeyId=theirs)

    clients.secretsmanager_without_retries().meta.events.register("after-call.*.PutResourcePolicy", move)

    with pytest.raises(TransientAwsError):
        run("attach_policies", pair.event())

    assert pair.under() == theirs
