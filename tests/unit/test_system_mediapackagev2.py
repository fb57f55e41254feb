"""MediaPackage v2: endpoint policies that require the CDN header."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from latchkey.policies import text_of
from latchkey.systems.mediapackagev2 import MEDIAPACKAGEV2, Endpoint, EndpointPolicies
from latchkey.systems.system import Configured, Reading
from tests.unit.samples import ACCOUNT, KEY_ARN, KINDS, PLACE, SECRET_ARN, desired, role

WANTED = desired(kind="mediapackagev2")
RESOURCE = Endpoint.model_validate(KINDS["mediapackagev2"]["resource"])
READING = Reading(SECRET_ARN, role("latchkey-reader"))
NAMED = {"ChannelGroupName": "sports", "ChannelName": "main", "OriginEndpointName": "hls"}
ARN = PLACE.arn("mediapackagev2", "channelGroup/sports/channel/main/originEndpoint/hls")
AUTHORIZATION = {"CdnIdentifierSecretArns": [SECRET_ARN], "SecretsRoleArn": role("latchkey-reader")}
HEADER_STATEMENT = {
    "Sid": "LatchkeyCdnAuthorization",
    "Effect": "Allow",
    "Principal": "*",
    "Action": "mediapackagev2:GetObject",
    "Resource": ARN,
    "Condition": {"Bool": {"mediapackagev2:RequestHasMatchingCdnAuthHeader": "true"}},
}
HARVESTING = {
    "Sid": "Harvesting",
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/Harvester"},
    "Action": "mediapackagev2:HarvestObject",
    "Resource": ARN,
}
EVERYONE = HARVESTING | {"Sid": "Everyone", "Principal": "*", "Action": "mediapackagev2:GetObject"}
UNNAMED = {name: value for name, value in EVERYONE.items() if name != "Sid"}


@pytest.fixture
def client() -> Any:
    return boto3.client("mediapackagev2")


@pytest.fixture
def answers(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [*statements]}


def read(
    client: Any,
    answers: Stubber,
    policy: dict[str, Any] | None,
    authorization: dict[str, Any] | None = None,
    resource: Endpoint = RESOURCE,
    **members: Any,
) -> Configured:
    response = {
        "Arn": ARN,
        **NAMED,
        "ContainerType": "TS",
        "CreatedAt": 0,
        "ModifiedAt": 0,
        "Segment": {},
        **members,
    }
    answers.add_response("get_origin_endpoint", response, NAMED)
    if policy is None:
        answers.add_client_error("get_origin_endpoint_policy", "ResourceNotFoundException", http_status_code=404)
    else:
        own = {"CdnAuthConfiguration": authorization} if authorization else {}
        answers.add_response("get_origin_endpoint_policy", NAMED | {"Policy": json.dumps(policy)} | own, NAMED)
    found = EndpointPolicies().read(client, resource)
    assert found
    return found


def test_an_endpoint_that_requires_the_header_has_the_wanted_settings(client: Any, answers: Stubber) -> None:
    found = read(client, answers, document(HARVESTING, HEADER_STATEMENT), AUTHORIZATION, Tags={"team": "sports"})
    assert (found.arn, found.secret_arn, found.tags) == (ARN, SECRET_ARN, {"team": "sports"})
    assert found.settings == EndpointPolicies().wanted(RESOURCE, READING)


@pytest.mark.parametrize(
    "policy",
    [
        None,
        document(),
        document(HARVESTING),
        document(HEADER_STATEMENT, EVERYONE),
        document(HEADER_STATEMENT | {"Condition": {}}),
    ],
    ids=["no policy", "empty policy", "without our statement", "another open statement", "our statement without condition"],
)
def test_an_endpoint_that_allows_other_requests_has_other_settings(
    client: Any, answers: Stubber, policy: dict[str, Any] | None
) -> None:
    found = read(client, answers, policy, AUTHORIZATION)
    assert found.settings["policy"] == "allows other requests"


def test_an_endpoint_with_a_second_secret_has_other_settings(client: Any, answers: Stubber) -> None:
    second = SECRET_ARN.replace("sports", "news")
    found = read(client, answers, document(HEADER_STATEMENT), AUTHORIZATION | {"CdnIdentifierSecretArns": [SECRET_ARN, second]})
    assert found.settings["secretArn"] == f"{second} {SECRET_ARN}"
    assert found.settings != EndpointPolicies().wanted(RESOURCE, READING)
    assert {found.secret_arn, *found.more_secret_arns} == {SECRET_ARN, second}


def test_an_endpoint_keeps_the_other_secrets_that_a_request_names(client: Any, answers: Stubber) -> None:
    second = SECRET_ARN.replace("sports", "news")
    resource = RESOURCE.model_copy(update={"other_secrets": (second,)})
    both = AUTHORIZATION | {"CdnIdentifierSecretArns": [second, SECRET_ARN]}
    found = read(client, answers, document(HEADER_STATEMENT), both, resource)

    assert found.settings == EndpointPolicies().wanted(resource, READING)
    assert (found.secret_arn, found.more_secret_arns) == (SECRET_ARN, (second,))


def test_a_missing_endpoint_is_none(client: Any, answers: Stubber) -> None:
    answers.add_client_error("get_origin_endpoint", "ResourceNotFoundException", http_status_code=404)
    assert EndpointPolicies().read(client, RESOURCE) is None


@pytest.mark.parametrize("operation", ["get_origin_endpoint", "get_origin_endpoint_policy"])
def test_other_errors_do_not_mean_absence(client: Any, answers: Stubber, operation: str) -> None:
    if operation == "get_origin_endpoint_policy":
        response = {"Arn": ARN, **NAMED, "ContainerType": "TS", "CreatedAt": 0, "ModifiedAt": 0, "Segment": {}}
        answers.add_response("get_origin_endpoint", response, NAMED)
    answers.add_client_error(operation, "AccessDeniedException", http_status_code=403)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        EndpointPolicies().read(client, RESOURCE)


@pytest.mark.parametrize("before", [None, document(HARVESTING), document(HEADER_STATEMENT)], ids=["none", "foreign", "ours"])
def test_the_statements_of_others_stay(client: Any, answers: Stubber, before: dict[str, Any] | None) -> None:
    found = read(client, answers, before)
    foreign = [one for one in (before or document())["Statement"] if one != HEADER_STATEMENT]
    after = {"Policy": text_of(document(*foreign, HEADER_STATEMENT)), "CdnAuthConfiguration": AUTHORIZATION}
    answers.add_response("put_origin_endpoint_policy", {}, NAMED | after)
    EndpointPolicies().update(client, RESOURCE, READING, found)


def test_an_update_keeps_the_other_secrets(client: Any, answers: Stubber) -> None:
    second = SECRET_ARN.replace("sports", "news")
    resource = RESOURCE.model_copy(update={"other_secrets": (second,)})
    found = read(client, answers, document(HEADER_STATEMENT), AUTHORIZATION | {"CdnIdentifierSecretArns": [second]}, resource)
    both = AUTHORIZATION | {"CdnIdentifierSecretArns": [SECRET_ARN, second]}
    after = {"Policy": text_of(document(HEADER_STATEMENT)), "CdnAuthConfiguration": both}
    answers.add_response("put_origin_endpoint_policy", {}, NAMED | after)
    EndpointPolicies().update(client, resource, READING, found)


OPENED: dict[str, dict[str, Any]] = {
    "without its condition": {},
    "inverted": {"Bool": {"mediapackagev2:RequestHasMatchingCdnAuthHeader": "false"}},
}


@pytest.mark.parametrize("condition", OPENED.values(), ids=OPENED)
def test_a_modified_header_statement_is_corrected(client: Any, answers: Stubber, condition: dict[str, Any]) -> None:
    found = read(client, answers, document(HEADER_STATEMENT | {"Condition": condition}, HARVESTING), AUTHORIZATION)
    assert [*EndpointPolicies().unsupported_reasons(RESOURCE, found)] == []
    after = {"Policy": text_of(document(HEADER_STATEMENT, HARVESTING)), "CdnAuthConfiguration": AUTHORIZATION}
    answers.add_response("put_origin_endpoint_policy", {}, NAMED | after)
    EndpointPolicies().update(client, RESOURCE, READING, found)


SHUFFLED = {
    "Statement": HARVESTING | {"Principal": {"AWS": [f"arn:aws:iam::{ACCOUNT}:role/Harvester"]}, "Resource": [ARN]},
    "Version": "2012-10-17",
}


def test_an_endpoint_is_unchanged_if_its_policy_has_another_form(client: Any, answers: Stubber) -> None:
    configuration, tags = EndpointPolicies(), {"team": "sports"}
    found = read(client, answers, document(HARVESTING), AUTHORIZATION, Tags=tags)
    assert configuration.is_unchanged(read(client, answers, SHUFFLED, AUTHORIZATION, Tags=tags), found)
    for other in (
        read(client, answers, document(HARVESTING, EVERYONE), AUTHORIZATION, Tags=tags),
        read(client, answers, SHUFFLED, None, Tags=tags),
        read(client, answers, SHUFFLED, AUTHORIZATION),
        None,
    ):
        assert not configuration.is_unchanged(other, found)


def test_full_settings_are_the_same_if_the_policy_has_another_form() -> None:
    configuration, one = EndpointPolicies(), settings(HARVESTING, authorization=AUTHORIZATION)
    other = one | {"Policy": json.dumps(SHUFFLED)}
    assert configuration.is_same(one, other)
    assert configuration.is_same(None, None)
    assert not configuration.is_same(one, None)
    assert not configuration.is_same(one, settings(HARVESTING))
    assert configuration.settings_of_others(other, one, one) == frozenset()
    assert configuration.settings_of_others(settings(EVERYONE), one, one) == {"Policy", "CdnAuthConfiguration"}


@pytest.mark.parametrize(("length", "is_accepted"), [(6144, True), (6145, False)])
def test_a_policy_that_would_be_too_long_is_rejected(client: Any, answers: Stubber, length: int, is_accepted: bool) -> None:
    own = len(text_of(document(HARVESTING | {"Sid": ""}, HEADER_STATEMENT)))
    found = read(client, answers, document(HARVESTING | {"Sid": "a" * (length - own)}))
    assert (not [*EndpointPolicies().unsupported_reasons(RESOURCE, found)]) == is_accepted


def test_a_deny_statement_with_the_reserved_sid_is_rejected(client: Any, answers: Stubber) -> None:
    found = read(client, answers, document(HEADER_STATEMENT | {"Effect": "Deny"}))
    assert len([*EndpointPolicies().unsupported_reasons(RESOURCE, found)]) == 1


def test_the_former_policy_of_an_endpoint_is_restored(client: Any, answers: Stubber) -> None:
    former = AUTHORIZATION | {"SecretsRoleArn": role("Former")}
    found = read(client, answers, document(HARVESTING), former)
    before = {"Policy": json.dumps(document(HARVESTING)), "CdnAuthConfiguration": former}
    answers.add_response("put_origin_endpoint_policy", {}, NAMED | before)
    EndpointPolicies().restore(client, json.loads(json.dumps(found.full_settings)))


def test_an_endpoint_without_a_former_policy_loses_the_policy(client: Any, answers: Stubber) -> None:
    found = read(client, answers, None)
    answers.add_response("delete_origin_endpoint_policy", {}, NAMED)
    EndpointPolicies().restore(client, json.loads(json.dumps(found.full_settings)))


@pytest.mark.parametrize(
    ("statement", "named"), [(EVERYONE, "Everyone"), (UNNAMED, "Statement[1]")], ids=["with a Sid", "without"]
)
def test_statements_that_allow_everyone_without_the_header_are_named(
    client: Any, answers: Stubber, statement: dict[str, Any], named: str
) -> None:
    found = read(client, answers, document(HARVESTING, statement))
    assert found.public_statements == (named,)


@pytest.mark.parametrize("policy", [None, document(HARVESTING, HEADER_STATEMENT)])
def test_named_principals_and_the_header_are_not_everyone(client: Any, answers: Stubber, policy: dict[str, Any] | None) -> None:
    assert read(client, answers, policy).public_statements == ()


def test_a_handoff_contains_the_header_statement() -> None:
    handoff = MEDIAPACKAGEV2.handoff(RESOURCE, READING, KEY_ARN, PLACE)
    assert handoff.values == NAMED | {"CdnIdentifierSecretArn": SECRET_ARN, "SecretsRoleArn": role("latchkey-reader")}
    assert handoff.cloud_formation
    properties = handoff.cloud_formation["EndpointPolicy"]["Properties"]
    assert properties == NAMED | {"Policy": document(HEADER_STATEMENT), "CdnAuthConfiguration": AUTHORIZATION}
    assert any("X-MediaPackageV2-CDNIdentifier" in step for step in handoff.steps)


def test_the_value_and_the_effect_delay_are_as_documented() -> None:
    shape = WANTED.secret_shape
    assert shape
    assert (shape.member, shape.exclusive) == ("MediaPackageV2CDNIdentifier", True)
    assert (shape.minimum, shape.maximum, shape.generated) == (8, 256, (36, 36))
    assert MEDIAPACKAGEV2.effect_delay_seconds == 300


def test_the_role_describes_the_key_and_reads_one_secret() -> None:
    reader = WANTED.role(KEY_ARN, SECRET_ARN)
    assert reader
    allowed = {
        action
        for s in reader.policy["Statement"]
        for action in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])
    }
    assert allowed == {
        "kms:Decrypt",
        "kms:DescribeKey",
        "secretsmanager:BatchGetSecretValue",
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
    }


FORMER = {"CdnIdentifierSecretArns": [f"{SECRET_ARN}-2"], "SecretsRoleArn": role("Theirs")}


def settings(*statements: dict[str, Any], authorization: dict[str, Any] | None = None) -> dict[str, Any]:
    """The policy and authorization of an endpoint as they are read or restored."""
    policy = {"Policy": text_of(document(*statements))} if statements else {}
    return NAMED | policy | ({"CdnAuthConfiguration": authorization} if authorization else {})


@pytest.mark.parametrize(
    ("former", "restored"),
    [
        (settings(HARVESTING), settings(HARVESTING, EVERYONE)),
        (
            settings(HARVESTING, authorization=FORMER),
            settings(HARVESTING, EVERYONE, authorization=FORMER),
        ),
        (settings(HARVESTING, HEADER_STATEMENT), settings(HARVESTING, HEADER_STATEMENT, EVERYONE)),
        (settings(), settings(HARVESTING, EVERYONE)),
    ],
    ids=["no authorization", "another authorization", "our statement was there", "no policy"],
)
def test_statements_added_meanwhile_stay_when_the_policy_is_restored(former: dict[str, Any], restored: dict[str, Any]) -> None:
    present = settings(HARVESTING, HEADER_STATEMENT, EVERYONE, authorization=AUTHORIZATION)
    assert EndpointPolicies().restored_settings(present, former, present) == restored


def test_a_policy_with_only_our_statement_is_removed() -> None:
    present = settings(HEADER_STATEMENT, authorization=AUTHORIZATION)
    assert EndpointPolicies().restored_settings(present, settings(), present) == NAMED
