"""Senders of events cannot exceed the parameters of the stack, and malformed events break nothing."""

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from tests.workflow.onboarding import MANAGER, MEMBER, Onboarding

OUTSIDE = "arn:aws:iam::111122223333:role/Outsider"
ABSENT = f"arn:aws:iam::{ACCOUNT}:role/Nobody"
LONG = "r" * 129


def _naming(arn: str) -> dict[str, Any]:
    """Returns members with a principal in every place that accepts one."""
    return {
        "managementRoles": [arn],
        "secret": {"value": {"generate": {"length": 40}}, "originReaders": [arn]},
        "key": {"alias": f"alias/latchkey/{secrets.token_hex(4)}", "administrators": [arn], "users": [arn]},
    }


@pytest.mark.parametrize("arn", [OUTSIDE, ABSENT])
def test_untrusted_or_missing_principals_are_rejected_everywhere(onboarding: Onboarding, arn: str) -> None:
    before = onboarding.account_snapshot()

    rules = onboarding.reject(onboarding.detail(**_naming(arn)))

    assert set(rules) == {"managementRoles.0", "secret.originReaders.0", "key.administrators.0", "key.users.0"}
    assert onboarding.account_snapshot() == before


@pytest.mark.parametrize("principal", ["root", "*", "111122223333"])
def test_whole_accounts_and_wildcards_are_rejected_as_principals(onboarding: Onboarding, principal: str) -> None:
    before = onboarding.account_snapshot()
    arn = {"root": f"arn:aws:iam::{ACCOUNT}:root", "*": f"arn:aws:iam::{ACCOUNT}:role/*"}.get(principal, principal)

    rules = onboarding.reject(onboarding.detail(**_naming(arn)))

    assert set(rules) == {"managementRoles.0", "secret.originReaders.0", "key.administrators.0", "key.users.0"}
    assert onboarding.account_snapshot() == before


@pytest.fixture
def closed_stack(onboarding: Onboarding) -> Iterator[None]:
    """As in production, only hosts that are already in use are allowed."""
    client = onboarding.aws.client("lambda")
    (name,) = (f["FunctionName"] for f in client.list_functions()["Functions"] if "CheckRequest" in f["FunctionName"])
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    client.update_function_configuration(FunctionName=name, Environment={"Variables": variables | {"ALLOWED_ORIGIN_HOSTS": ""}})
    yield
    client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


@pytest.mark.usefixtures("closed_stack")
def test_existing_secret_is_not_sent_to_a_new_host(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    made = onboarding.onboard(first)["resources"]
    onboarding.consent(made["secretArn"])
    adopted = onboarding.new_secret(json.dumps({MEMBER: secrets.token_hex(10)}))
    before = onboarding.account_snapshot()
    elsewhere = {"baseUrl": "https://elsewhere.example.com/vod"}

    for detail in (
        first | {"resource": first["resource"] | elsewhere},
        _existing(onboarding, made["secretArn"], first["key"], elsewhere),
        _existing(onboarding, adopted, None, elsewhere),
    ):
        rules = onboarding.reject(detail | {"requestId": secrets.token_hex(8)})
        assert set(rules) == {"resource.baseUrl"}
        assert "AllowedOriginHosts" in rules["resource.baseUrl"]
    assert onboarding.account_snapshot() == before
    assert onboarding.onboard(_existing(onboarding, made["secretArn"], first["key"], {}))["changed"]


def _existing(onboarding: Onboarding, arn: str, key: Any, changes: dict[str, str]) -> dict[str, Any]:
    detail = onboarding.detail(secret={"value": {"existing": {"secretArn": arn}}}, managementRoles=None)
    return detail | {"resource": detail["resource"] | changes} | ({"key": key} if key else {})


@pytest.mark.parametrize("name", ["latchkey:managed-by", "LATCHKEY:Consent", "aws:cloudformation:stack-id", "AWS:x", "Aws:x"])
def test_reserved_tags_are_rejected_in_any_case(onboarding: Onboarding, name: str) -> None:
    before = onboarding.account_snapshot()

    assert set(onboarding.reject(onboarding.detail(tags={name: "adopt"}))) == {"tags"}
    assert onboarding.account_snapshot() == before


def test_request_at_its_limits_succeeds(onboarding: Onboarding) -> None:
    iam, trust = onboarding.aws.client("iam"), json.dumps({"Version": "2012-10-17", "Statement": []})
    names = [f"limit-{secrets.token_hex(4)}" for _ in range(50)]
    arns = [iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"] for name in names]
    detail = onboarding.detail(managementRoles=arns, tags={f"{'k' * 125}{number:03}": "v" * 256 for number in range(40)})
    detail["secret"] |= {"originReaders": arns}
    detail["key"] |= {"administrators": arns, "users": arns, "allowDeletion": True}

    made = onboarding.onboard(detail)["resources"]

    tags = onboarding.secretsmanager.describe_secret(SecretId=made["secretArn"])["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags}.items() >= detail["tags"].items()
    for statement in onboarding.secret_policy(made["secretArn"])["Statement"]:
        if "AWS" in statement["Principal"]:
            assert statement["Principal"]["AWS"] == sorted(arns)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"managementRoles": [MANAGER] * 51}, "managementRoles"),
        ({"tags": {f"k{number}": "v" for number in range(41)}}, "tags"),
        ({"notes": "n" * 250_000}, "notes"),
        ({"n" * 250_000: "notes"}, "<name>"),
        ({"requestedBy" + "x" * 9: {}, "notes": [{}] * 80_000}, "notes"),
    ],
    ids=["51 roles", "41 tags", "250 KB of text", "a name of 250 KB", "80,000 members"],
)
def test_request_beyond_its_limits_is_rejected(onboarding: Onboarding, changes: dict[str, Any], place: str) -> None:
    before = onboarding.account_snapshot()

    assert place in onboarding.reject(onboarding.detail(**changes))
    assert onboarding.account_snapshot() == before


def test_rejection_lists_at_most_a_hundred_problems(onboarding: Onboarding) -> None:
    detail = onboarding.detail(managementRoles=[f"nobody-{number}" for number in range(50)])
    detail["secret"]["originReaders"] = detail["key"]["users"] = detail["managementRoles"]

    rules = onboarding.reject(detail | {"tags": {f"tag {number}!": 1 for number in range(5000)}})

    assert len(rules) <= 101
    assert "detail" in rules


Text = Callable[[dict[str, Any]], str]


def _with(member: str) -> Text:
    """Returns a function that renders the request as JSON with one more member."""
    return lambda detail: f"{json.dumps(detail)[:-1]}, {member}}}"


# Functions that turn a valid request into a malformed event, and whether its outcome has its own id or that of the event.
TEXTS: dict[str, tuple[Text, bool]] = {
    "no JSON": (lambda _: "no JSON at all", False),
    "a list": (lambda detail: json.dumps([detail]), False),
    "text": (lambda detail: json.dumps(json.dumps(detail)), False),
    "null": (lambda _: "null", False),
    "a number": (lambda _: "1e400", False),
    "infinity": (_with('"key": {"rotationDays": 1e400}'), True),
    "no number": (_with('"key": {"rotationDays": NaN}'), True),
    "a number of 5,000 digits": (_with(f'"key": {{"rotationDays": {"9" * 5000}}}'), False),
    "1,000 levels": (_with(f'"tags": {"[" * 1000}{"]" * 1000}'), True),
    "100,000 levels": (_with(f'"tags": {"[" * 100_000}{"]" * 100_000}'), False),
    "NUL": (_with('"system": "mediatailor\\u0000"'), True),
    "half a character": (_with('"resource": {"sourceLocation": "\\ud800"}'), True),
    "the second of two members is bad": (_with('"key": {"alias": "alias/aws/s3"}'), True),
    "the second of two ids is too long": (_with(f'"requestId": "{LONG}"'), False),
    "the second of two ids has a slash": (_with('"requestId": "one/two"'), False),
    "the second of two ids is a list": (_with('"requestId": ["one"]'), False),
}


@pytest.mark.parametrize(("text", "has_id"), TEXTS.values(), ids=TEXTS)
def test_malformed_event_is_rejected_once(onboarding: Onboarding, text: Text, has_id: bool) -> None:
    before, detail = onboarding.account_snapshot(), onboarding.detail()

    event_id = onboarding.put(text(detail))
    outcome = onboarding.outcomes.wait_for(detail["requestId"] if has_id else event_id, 60)

    assert outcome["detail-type"] == "Request Rejected"
    assert outcome["detail"]["errors"]
    known = {event_id, detail["requestId"]}
    assert [event for event in onboarding.outcomes.all() if event["detail"].get("requestId") in known] == [outcome]
    assert onboarding.account_snapshot() == before


def test_last_of_two_equal_members_is_used(onboarding: Onboarding) -> None:
    detail = onboarding.detail(managementRoles=[OUTSIDE], tags={"team": "first", "first": "only"})
    last = f'"tags": {{"team": "last"}}, "managementRoles": {json.dumps([MANAGER])}'

    onboarding.put(_with(last)(detail))
    outcome = onboarding.outcomes.wait_for(detail["requestId"], 60)

    assert outcome["detail-type"] == "Access Onboarded"
    made = outcome["detail"]["resources"]
    tags = {t["Key"]: t["Value"] for t in onboarding.secretsmanager.describe_secret(SecretId=made["secretArn"])["Tags"]}
    assert (tags["team"], "first" in tags) == ("last", False)
    assert OUTSIDE not in json.dumps([onboarding.key_policy(made["keyArn"]), onboarding.secret_policy(made["secretArn"])])
