"""Whoever may put events gets no more by them than the stack's parameters allow, and breaks nothing by their form."""

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from tests.workflow.conftest import MANAGER, MEMBER, Onboarding

OUTSIDE = "arn:aws:iam::111122223333:role/Outsider"
ABSENT = f"arn:aws:iam::{ACCOUNT}:role/Nobody"
LONG = "r" * 129


def _naming(arn: str) -> dict[str, Any]:
    """A principal in every place of a request that takes one."""
    return {
        "managementRoles": [arn],
        "secret": {"value": {"generate": {"length": 40}}, "originReaders": [arn]},
        "key": {"alias": f"alias/latchkey/{secrets.token_hex(4)}", "administrators": [arn], "users": [arn]},
    }


@pytest.mark.parametrize(("arn", "rule"), [(OUTSIDE, "TrustedPrincipalPatterns"), (ABSENT, "does not exist")])
def test_no_place_takes_a_principal_that_is_not_trusted_or_not_there(onboarding: Onboarding, arn: str, rule: str) -> None:
    before = onboarding.everything()

    rules = onboarding.reject(onboarding.detail(**_naming(arn)))

    assert set(rules) == {"managementRoles.0", "secret.originReaders.0", "key.administrators.0", "key.users.0"}
    assert [told for told in rules.values() if rule not in told] == []
    assert onboarding.everything() == before


@pytest.mark.parametrize("account", ["root", "*", "111122223333"])
def test_a_whole_account_or_everybody_is_no_principal(onboarding: Onboarding, account: str) -> None:
    before = onboarding.everything()
    arn = {"root": f"arn:aws:iam::{ACCOUNT}:root", "*": f"arn:aws:iam::{ACCOUNT}:role/*"}.get(account, account)

    rules = onboarding.reject(onboarding.detail(**_naming(arn)))

    assert set(rules) == {"managementRoles.0", "secret.originReaders.0", "key.administrators.0", "key.users.0"}
    assert onboarding.everything() == before


@pytest.fixture
def closed_stack(onboarding: Onboarding) -> Iterator[None]:
    """As production is deployed: no host is allowed beyond those already used."""
    client = onboarding.aws.client("lambda")
    (name,) = (f["FunctionName"] for f in client.list_functions()["Functions"] if "CheckRequest" in f["FunctionName"])
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    client.update_function_configuration(FunctionName=name, Environment={"Variables": variables | {"ALLOWED_ORIGIN_HOSTS": ""}})
    yield
    client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


@pytest.mark.usefixtures("closed_stack")
def test_a_known_secret_goes_to_no_new_host(onboarding: Onboarding) -> None:
    first = onboarding.detail()
    made = onboarding.onboard(first)["resources"]
    adopted = onboarding.new_secret(json.dumps({MEMBER: secrets.token_hex(10)}))
    before = onboarding.everything()
    elsewhere = {"baseUrl": "https://elsewhere.example.com/vod"}

    for detail in (
        first | {"requestId": secrets.token_hex(8), "resource": first["resource"] | elsewhere},
        _existing(onboarding, made["secretArn"], first["key"], elsewhere),
        _existing(onboarding, adopted, None, elsewhere),
    ):
        assert "AllowedOriginHosts" in onboarding.reject(detail)["resource.baseUrl"]
    assert onboarding.everything() == before
    assert onboarding.onboard(_existing(onboarding, made["secretArn"], first["key"], {}))["changed"]


def _existing(onboarding: Onboarding, arn: str, key: Any, changes: dict[str, str]) -> dict[str, Any]:
    detail = onboarding.detail(secret={"value": {"existing": {"secretArn": arn}}}, managementRoles=None)
    return detail | {"resource": detail["resource"] | changes} | ({"key": key} if key else {})


@pytest.mark.parametrize("name", ["latchkey:managed-by", "LATCHKEY:Consent", "aws:cloudformation:stack-id", "AWS:x", "Aws:x"])
def test_a_reserved_tag_is_refused_in_any_case(onboarding: Onboarding, name: str) -> None:
    before = onboarding.everything()

    assert set(onboarding.reject(onboarding.detail(tags={name: "adopt"}))) == {"tags"}
    assert onboarding.everything() == before


def test_a_request_at_its_limits_is_carried_out(onboarding: Onboarding) -> None:
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
def test_a_request_beyond_its_limits_is_rejected(onboarding: Onboarding, changes: dict[str, Any], place: str) -> None:
    before = onboarding.everything()

    assert place in onboarding.reject(onboarding.detail(**changes))
    assert onboarding.everything() == before


def test_of_thousands_of_problems_a_hundred_are_told(onboarding: Onboarding) -> None:
    detail = onboarding.detail(managementRoles=[f"nobody-{number}" for number in range(50)])
    detail["secret"]["originReaders"] = detail["key"]["users"] = detail["managementRoles"]

    rules = onboarding.reject(detail | {"tags": {f"tag {number}!": 1 for number in range(5000)}})

    assert len(rules) <= 101
    assert "more" in rules["detail"]


Text = Callable[[dict[str, Any]], str]


def _with(member: str) -> Text:
    """The sound request as JSON text, with a member before its end."""
    return lambda detail: f"{json.dumps(detail)[:-1]}, {member}}}"


# How a text that is hardly a request is made of a sound one, and whether it is known by its own id or by its event's.
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
def test_a_text_that_is_hardly_a_request_is_rejected_once(onboarding: Onboarding, text: Text, has_id: bool) -> None:
    before, detail = onboarding.everything(), onboarding.detail()

    event_id = onboarding.put(text(detail))
    outcome = onboarding.outcomes.wait_for(detail["requestId"] if has_id else event_id, 60)

    assert outcome["detail-type"] == "Request Rejected"
    assert outcome["detail"]["errors"]
    known = {event_id, detail["requestId"]}
    assert [event for event in onboarding.outcomes.all() if event["detail"].get("requestId") in known] == [outcome]
    assert onboarding.everything() == before


def test_of_a_member_that_stands_twice_the_last_counts_and_nothing_of_the_first_is_used(onboarding: Onboarding) -> None:
    detail = onboarding.detail(managementRoles=[OUTSIDE], tags={"team": "first", "first": "only"})
    last = f'"tags": {{"team": "last"}}, "managementRoles": {json.dumps([MANAGER])}'

    onboarding.put(_with(last)(detail))
    outcome = onboarding.outcomes.wait_for(detail["requestId"], 60)

    assert outcome["detail-type"] == "Access Onboarded"
    made = outcome["detail"]["resources"]
    tags = {t["Key"]: t["Value"] for t in onboarding.secretsmanager.describe_secret(SecretId=made["secretArn"])["Tags"]}
    assert (tags["team"], "first" in tags) == ("last", False)
    assert OUTSIDE not in json.dumps([onboarding.key_policy(made["keyArn"]), onboarding.secret_policy(made["secretArn"])])
