"""configure_access: new source locations, and updates of existing ones."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from latchkey.aws import clients
from latchkey.errors import AccessDenied, Conflict, LatchkeyError, NotYetEffective, TransientAwsError
from latchkey.registry.journal import RESOURCE
from tests.functions.account import ACCOUNT, OWN, REGION, Account
from tests.functions.onboarding_requests import HEADER, NAME, SECRET_KEY, Run, onboarding

BASE_URL = "https://origin.example.com/vod"
GRANT = f"MediaTailor-SourceLocation-{ACCOUNT}-{NAME}"
SEGMENTS = {
    "DefaultSegmentDeliveryConfiguration": {"BaseUrl": "https://cdn.example.com"},
    "SegmentDeliveryConfigurations": [{"Name": "second", "BaseUrl": "https://cdn2.example.com"}],
}


def access(secret: str, **token: str) -> dict[str, Any]:
    members = {"HeaderName": HEADER, "SecretArn": secret, "SecretStringKey": SECRET_KEY} | token
    return {"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": members}


@pytest.fixture
def event(account: Account) -> dict[str, Any]:
    key = account.key()
    secret = account.secret("latchkey/mediatailor/sports-origin/token", "{}", key=key)
    request = onboarding(tags={"team": "sports"}, secret={"replacesToken": True})
    return {"request": request, "key": {"arn": key, "changed": False}, "secretArn": secret}


def grant(account: Account, event: dict[str, Any], name: str = GRANT, secret: str | None = None) -> None:
    account.grant(event["key"]["arn"], name, secret or event["secretArn"])


def test_a_new_source_location_has_its_header_secret_and_member(run: Run, account: Account, event: dict[str, Any]) -> None:
    made = run("configure_access", event)

    arn = f"arn:aws:mediatailor:{REGION}:{ACCOUNT}:sourceLocation/{NAME}"
    assert made == {"arn": arn, "changed": True, "settlesFrom": None, "created": None}
    tags = {
        "latchkey:managed-by": "latchkey",
        "latchkey:request": "request-1",
        "latchkey:stack": "latchkey",
        "latchkey:tenant": "default",
        "team": "sports",
    }
    assert account.mediatailor.locations[NAME] == {
        "SourceLocationName": NAME,
        "Arn": arn,
        "HttpConfiguration": {"BaseUrl": BASE_URL},
        "AccessConfiguration": access(event["secretArn"]),
        "tags": tags | {"latchkey:access": f"mediatailor/sourceLocation/{NAME}"},
    }


def test_configuring_twice_writes_once(run: Run, account: Account, event: dict[str, Any]) -> None:
    first = run("configure_access", event)
    grant(account, event)
    before = account.snapshot()

    assert run("configure_access", event) == first | {"changed": False}
    assert account.snapshot() == before
    assert [method for method, _ in account.mediatailor.writes] == ["POST"]


def test_an_existing_source_location_keeps_its_other_settings(run: Run, account: Account, event: dict[str, Any]) -> None:
    account.mediatailor.add(NAME, {"AccessType": "S3_SIGV4"}, **SEGMENTS)

    assert run("configure_access", event)["changed"] is True

    [(method, sent)] = account.mediatailor.writes
    assert method == "PUT"
    assert sent == {"HttpConfiguration": {"BaseUrl": BASE_URL}, "AccessConfiguration": access(event["secretArn"])} | SEGMENTS


def test_an_update_sends_no_settings_that_the_source_location_does_not_have(
    run: Run, account: Account, event: dict[str, Any]
) -> None:
    account.mediatailor.add(NAME)

    run("configure_access", event)

    assert set(account.mediatailor.writes[0][1]) == {"HttpConfiguration", "AccessConfiguration"}


@pytest.mark.parametrize(
    ("base_url", "other"),
    [
        ("https://former.example.com", {}),
        (BASE_URL, {"HeaderName": "X-Other"}),
        (BASE_URL, {"SecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:former-AbCdEf"}),
        (BASE_URL, {"SecretStringKey": "other"}),
    ],
    ids=["base URL", "header", "secret", "member"],
)
def test_a_setting_that_differs_is_updated(
    run: Run, account: Account, event: dict[str, Any], base_url: str, other: dict[str, str]
) -> None:
    account.mediatailor.add(NAME, access(event["secretArn"], **other), HttpConfiguration={"BaseUrl": base_url})
    grant(account, event)

    assert run("configure_access", event)["changed"] is True

    location = account.mediatailor.locations[NAME]
    assert location["HttpConfiguration"] == {"BaseUrl": BASE_URL}
    assert location["AccessConfiguration"] == access(event["secretArn"])


def test_a_source_location_that_changes_after_the_decision_is_left_alone(
    run: Run, account: Account, event: dict[str, Any]
) -> None:
    account.mediatailor.add(NAME)
    changed = {"HttpConfiguration": {"BaseUrl": "https://theirs.example.com"}}
    once = iter([lambda: account.mediatailor.add(NAME, **changed)])

    def change(**_: Any) -> None:
        next(once, lambda: None)()

    clients.kms().meta.events.register("after-call.kms.ListGrants", change)
    account.mediatailor.add(NAME, access(event["secretArn"]))

    with pytest.raises(TransientAwsError):
        run("configure_access", event)

    assert account.mediatailor.writes == []


def test_a_throttled_update_reads_the_source_location_again(
    run: Run, account: Account, event: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latchkey.onboarding.configure_access.time.sleep", lambda _: None)
    account.mediatailor.add(NAME)

    def throttle(**_: Any) -> Any:
        account.mediatailor.add(NAME, HttpConfiguration={"BaseUrl": "https://theirs.example.com"})
        error = {"Error": {"Code": "429", "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 429}}
        return type("Answer", (), {"status_code": 429})(), error

    clients.client_for_without_retries("mediatailor").meta.events.register(
        "before-call.mediatailor.UpdateSourceLocation", throttle
    )

    with pytest.raises(TransientAwsError):
        run("configure_access", event)

    assert account.mediatailor.locations[NAME]["HttpConfiguration"] == {"BaseUrl": "https://theirs.example.com"}


@pytest.mark.parametrize("tags", [{}, OWN])
def test_a_source_location_without_consent_is_not_configured(
    run: Run, account: Account, event: dict[str, Any], tags: dict[str, str]
) -> None:
    """The tags of Latchkey alone do not prove that Latchkey created the location."""
    account.mediatailor.add(NAME, tags=tags)

    with pytest.raises(Conflict):
        run("configure_access", event)

    assert account.mediatailor.writes == []


def test_a_configured_source_location_without_its_grant_is_updated_again(
    run: Run, account: Account, event: dict[str, Any]
) -> None:
    account.mediatailor.add(NAME, access(event["secretArn"]))
    grant(account, event, name=f"{GRANT}-2")
    grant(account, event, secret=f"{event['secretArn'][:-6]}AbCdEf")

    assert run("configure_access", event)["changed"] is True


def test_a_missing_grant_that_unchanged_settings_do_not_renew_is_renewed_by_a_change_and_back(
    run: Run, account: Account, event: dict[str, Any]
) -> None:
    account.mediatailor.add(NAME, access(event["secretArn"]))
    before = json.loads(json.dumps(account.mediatailor.locations))
    account.mediatailor.renews_unchanged = False
    account.mediatailor.at_update = lambda: grant(account, event)

    assert run("configure_access", event)["changed"] is True

    assert account.kms.list_grants(KeyId=event["key"]["arn"])["Grants"]
    assert account.mediatailor.locations == before
    headers = [
        sent["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]["HeaderName"]
        for _, sent in account.mediatailor.writes
    ]
    assert headers == [HEADER, HEADER.swapcase(), HEADER]


@pytest.mark.parametrize("there", [True, False])
def test_the_settings_before_the_first_attempt_are_recorded(
    run: Run, account: Account, event: dict[str, Any], there: bool
) -> None:
    if there:
        account.mediatailor.add(NAME, {"AccessType": "S3_SIGV4"}, **SEGMENTS)
    run("configure_access", event)
    run("configure_access", event)

    [item] = [item for item in account.items("journal") if item["id"]["S"].endswith(RESOURCE)]
    former = {
        "SourceLocationName": NAME,
        "HttpConfiguration": {"BaseUrl": BASE_URL},
        "AccessConfiguration": {"AccessType": "S3_SIGV4"},
    }
    assert json.loads(item["found"]["S"]) == (former | SEGMENTS if there else None)


def test_a_source_location_whose_creation_response_was_lost_is_read_again(
    run: Run, account: Account, event: dict[str, Any]
) -> None:
    def make_first(**_: Any) -> None:
        account.mediatailor.add(NAME)

    clients.client_for("mediatailor").meta.events.register("before-call.mediatailor.CreateSourceLocation", make_first)

    with pytest.raises(TransientAwsError):
        run("configure_access", event)


def test_a_400_and_a_complete_list_without_the_name_mean_a_missing_source_location(
    run: Run, account: Account, event: dict[str, Any]
) -> None:
    account.mediatailor.missing_status = 400
    account.mediatailor.add("another")

    assert run("configure_access", event)["changed"] is True
    assert NAME in account.mediatailor.locations


def _answer(operation: str, status: int, code: str = "") -> None:
    """Lets MediaTailor, whose API models no errors, return a status."""
    error = {"Error": {"Code": code or str(status), "Message": "as it is"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    for client in (clients.client_for("mediatailor"), clients.client_for_without_retries("mediatailor")):
        client.meta.events.register(
            f"before-call.mediatailor.{operation}", lambda **_: (type("Answer", (), {"status_code": status})(), error)
        )


@pytest.mark.parametrize(
    ("status", "error"), [(403, AccessDenied), (409, Conflict), (429, TransientAwsError), (503, TransientAwsError)]
)
def test_an_error_without_a_code_is_classified_by_its_status(
    run: Run, event: dict[str, Any], status: int, error: type[LatchkeyError]
) -> None:
    _answer("CreateSourceLocation", status)

    with pytest.raises(LatchkeyError, match=f"CreateSourceLocation failed with {status}") as caught:
        run("configure_access", event)

    assert type(caught.value) is error


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("there", [True, False])
def test_a_denial_is_not_yet_effective_while_the_key_settles_and_permanent_afterwards(
    run: Run, account: Account, event: dict[str, Any], status: int, there: bool
) -> None:
    if there:
        account.mediatailor.add(NAME)
    operation = "UpdateSourceLocation" if there else "CreateSourceLocation"
    _answer(operation, status)
    now, before = datetime.now(UTC), datetime.now(UTC) - timedelta(minutes=7)

    with pytest.raises(NotYetEffective, match="as it is"):
        run("configure_access", event | {"key": event["key"] | {"created": now.isoformat()}})
    with pytest.raises(LatchkeyError, match=f"{operation} failed with {status}.*as it is") as caught:
        run("configure_access", event | {"key": event["key"] | {"created": before.isoformat()}})

    assert not isinstance(caught.value, NotYetEffective)


def test_a_400_for_a_listed_source_location_is_an_error(run: Run, account: Account, event: dict[str, Any]) -> None:
    account.mediatailor.add(NAME)
    before = json.dumps(account.mediatailor.locations)
    _answer("DescribeSourceLocation", 400)

    with pytest.raises(LatchkeyError, match="DescribeSourceLocation failed with 400"):
        run("configure_access", event)

    assert json.dumps(account.mediatailor.locations) == before
