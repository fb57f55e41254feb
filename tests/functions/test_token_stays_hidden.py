"""Invariant I1: a token is in Secrets Manager and in nothing else that create_secret writes, returns, logs or raises."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.aws import clients
from latchkey.errors import LatchkeyError
from tests.functions.account import ADOPT, IMPORT, OWN, Account
from tests.functions.onboarding_requests import SECRET_KEY, SECRET_NAME, Run, copied, existing, onboarding
from tests.functions.rotation_steps import Rotation

CANARY = "canary-in-the-mine"
# A token of 7 or 129 characters is rejected while it is in memory.
BAD = {"too short": "canary!", "too long": CANARY * 8, "not JSON": CANARY, "no text": f'{{"{SECRET_KEY}": ["{CANARY}"]}}'}

type Everything = Callable[[], str]


@pytest.fixture
def everything(account: Account, log: io.StringIO, capsys: pytest.CaptureFixture[str]) -> Everything:
    """Everything that was logged or printed, and everything in the account except for secret values."""

    def gather() -> str:
        written = log.getvalue()
        assert written, "the function logs"
        return written + "".join(capsys.readouterr()) + json.dumps(account.snapshot(values=False), default=str)

    return gather


def to_create(account: Account, **members: Any) -> dict[str, Any]:
    return {"request": onboarding(**members), "key": {"arn": account.key(), "changed": False}}


def test_a_generated_token_exists_only_in_its_secret(run: Run, account: Account, everything: Everything) -> None:
    result = run("create_secret", to_create(account))

    token = json.loads(account.value(SECRET_NAME))[SECRET_KEY]
    assert token not in json.dumps(result) + everything()


def test_a_copied_token_exists_only_in_its_secrets(run: Run, account: Account, everything: Everything) -> None:
    source = account.secret("origin/token", json.dumps({SECRET_KEY: CANARY}), IMPORT)

    result = run("create_secret", to_create(account, secret=copied(source, SECRET_KEY)))

    assert CANARY in account.value(SECRET_NAME)
    assert CANARY not in json.dumps(result) + everything()


def test_the_tokens_of_a_rotation_exist_only_in_their_secret(run: Run, account: Account, everything: Everything) -> None:
    rotation = Rotation(run, account).begin(emergency=True)
    results = [rotation.check(), rotation.stage(), rotation.record("pending")]
    rotation.end()
    tokens = {rotation.value(label)[SECRET_KEY] for label in ("AWSCURRENT", "AWSPENDING")}
    rotation.begin("Rotation Confirmed")
    results += [rotation.check(), rotation.promote(), rotation.stage(again=True), rotation.promote(again=True), rotation.undo()]

    written = json.dumps(results) + everything()
    assert len(tokens) == 2
    assert [token for token in tokens if token in written] == []


def test_an_aws_error_about_a_copied_pending_version_is_not_passed_on(
    run: Run, account: Account, everything: Everything, stack: Callable[..., None]
) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*.example.com")
    rotation = Rotation(run, account)
    source = account.secret("origin/token", CANARY, IMPORT)
    rotation.begin(value={"copyFrom": {"secretArn": source}}).check()
    _answer_with("PutSecretValue", f"the value {CANARY} is not welcome")

    with pytest.raises(LatchkeyError, match="PutSecretValue failed with ValidationException") as caught:
        rotation.stage()

    assert CANARY not in traceback_text(caught.value) + everything()


@pytest.mark.parametrize("value", [json.dumps({SECRET_KEY: CANARY}), *BAD.values()], ids=["good", *BAD])
def test_a_value_check_does_not_reveal_the_value(run: Run, account: Account, everything: Everything, value: str) -> None:
    result = run("create_secret", {"request": onboarding(secret=existing(account.secret("origin/token", value, ADOPT)))})

    assert "canary" not in json.dumps(result) + everything()


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_a_rejected_value_is_in_no_error(run: Run, account: Account, everything: Everything, value: str) -> None:
    source = account.secret("origin/token", value, IMPORT)
    key = None if value == BAD["too short"] or value == BAD["too long"] else SECRET_KEY

    with pytest.raises(LatchkeyError) as caught:
        run("create_secret", to_create(account, secret=copied(source, key)))

    assert "canary" not in traceback_text(caught.value) + everything()


@pytest.mark.parametrize("operation", ["CreateSecret", "PutSecretValue"])
def test_an_aws_error_that_quotes_its_input_is_not_passed_on(
    run: Run, account: Account, everything: Everything, operation: str
) -> None:
    source = account.secret("origin/token", CANARY, IMPORT)
    own = account.secret(SECRET_NAME, "{}", OWN) if operation == "PutSecretValue" else None
    _answer_with(operation, f"the value {CANARY} is not welcome")

    with pytest.raises(LatchkeyError, match=f"{operation} failed with ValidationException") as caught:
        run("create_secret", to_create(account, secret=copied(source)) | {"ownSecretArn": own})

    assert CANARY not in traceback_text(caught.value) + everything()


@pytest.mark.parametrize("way", ["copyFrom", "existing"])
def test_a_token_that_is_sent_as_a_member_name_is_not_repeated(
    run: Run, account: Account, everything: Everything, way: str
) -> None:
    secret = account.secret("origin/token", "{}", IMPORT if way == "copyFrom" else ADOPT)
    named = copied(secret, CANARY) if way == "copyFrom" else existing(secret)

    result = run("create_secret", {"request": onboarding(secret=named, resource={"secretKey": CANARY})})

    [finding] = result["findings"]
    assert "canary" not in json.dumps(finding) + everything()


def test_a_parameter_that_botocore_rejects_is_not_passed_on(run: Run, account: Account, everything: Everything) -> None:
    def spoil(params: dict[str, Any], **_: Any) -> None:
        params["SecretString"] = [params["SecretString"]]

    clients.secretsmanager("us-east-1").meta.events.register("before-parameter-build.secrets-manager.CreateSecret", spoil)
    source = account.secret("origin/token", CANARY, IMPORT)

    with pytest.raises(LatchkeyError, match="botocore") as caught:
        run("create_secret", to_create(account, secret=copied(source)))

    assert CANARY not in traceback_text(caught.value) + everything()


def _answer_with(operation: str, message: str) -> None:
    """Lets Secrets Manager return an error with a message for the operation."""
    error = {"Error": {"Code": "ValidationException", "Message": message}}

    def answer_with_error(**_: Any) -> Any:
        return type("Answer", (), {"status_code": 400})(), error | {"ResponseMetadata": {"HTTPStatusCode": 400}}

    clients.secretsmanager("us-east-1").meta.events.register(f"before-call.secrets-manager.{operation}", answer_with_error)


def traceback_text(error: BaseException | None) -> str:
    """Everything that a traceback shows of an error, its causes and its contexts."""
    text = ""
    while error is not None:
        text += f"{error!r} {error.__dict__}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return text
