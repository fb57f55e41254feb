"""Consent without exceptions: what Latchkey did not create is changed only with its owner's tag, whoever asks."""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import until
from tests.workflow.consumer_resources import CONSUMERS, adobe_detail
from tests.workflow.fault_injection import LATE, FaultInjection
from tests.workflow.onboarding import MEMBER, Onboarding

CONSENT = {"latchkey:consent": "adopt"}
ELSEWHERE = "https://elsewhere.example.com/vod"

type Closed = Callable[..., AbstractContextManager[None]]


def again(detail: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The same request under a new id. `changes` replace members."""
    return detail | {"requestId": f"request-{secrets.token_hex(6)}"} | changes


def elsewhere(detail: dict[str, Any]) -> dict[str, Any]:
    """The same request for another host."""
    return again(detail, resource=detail["resource"] | {"baseUrl": ELSEWHERE})


@pytest.fixture
def closed(fast_onboarding: Onboarding) -> Closed:
    """Deploys check_request with other parameters, by default with no allowed host."""
    return lambda **values: parameters(fast_onboarding, **values)


@contextmanager
def parameters(onboarding: Onboarding, **values: str) -> Iterator[None]:
    client = onboarding.aws.client("lambda")
    (name,) = (f["FunctionName"] for f in client.list_functions()["Functions"] if "CheckRequest" in f["FunctionName"])
    variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    changed = variables | {"ALLOWED_ORIGIN_HOSTS": ""} | values
    client.update_function_configuration(FunctionName=name, Environment={"Variables": changed})
    try:
        yield
    finally:
        client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


def add_location(onboarding: Onboarding, detail: dict[str, Any], tags: dict[str, str], **members: Any) -> str:
    """Creates the source location of a request without Latchkey, and returns its ARN."""
    resource = detail["resource"]
    made = onboarding.mediatailor.create_source_location(
        SourceLocationName=resource["sourceLocation"],
        HttpConfiguration={"BaseUrl": resource["baseUrl"]},
        Tags=tags,
        **members,
    )
    arn: str = made["Arn"]
    return arn


def new_role(onboarding: Onboarding) -> str:
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    made = onboarding.aws.client("iam").create_role(
        RoleName=f"reader-{secrets.token_hex(4)}", AssumeRolePolicyDocument=document
    )
    arn: str = made["Role"]["Arn"]
    return arn


def test_a_live_source_location_of_another_owner_is_not_switched(fast_onboarding: Onboarding) -> None:
    """Row 7 (a)."""
    detail = fast_onboarding.detail(managementRoles=None, secret={"replacesToken": True})
    arn = add_location(fast_onboarding, detail, {})
    before = fast_onboarding.account_snapshot()

    assert fast_onboarding.rejected_paths(detail) == {"resource"}
    assert fast_onboarding.account_snapshot() == before

    fast_onboarding.mediatailor.tag_resource(ResourceArn=arn, Tags=CONSENT)
    assert fast_onboarding.onboard(again(detail))["resources"]["resourceArn"] == arn


def test_the_tag_of_latchkey_alone_does_not_make_a_source_location_ours(fast_onboarding: Onboarding) -> None:
    detail = fast_onboarding.detail(managementRoles=None)
    access = f"mediatailor/sourceLocation/{detail['resource']['sourceLocation']}"
    add_location(fast_onboarding, detail, {"latchkey:managed-by": "latchkey", "latchkey:access": access})

    assert fast_onboarding.rejected_paths(detail) == {"resource"}


def test_the_tag_of_latchkey_alone_does_not_make_a_key_ours(fast_onboarding: Onboarding) -> None:
    key = fast_onboarding.new_key(Tags=[{"TagKey": "latchkey:managed-by", "TagValue": "latchkey"}])

    assert fast_onboarding.rejected_paths(fast_onboarding.detail(key={"arn": key})) == {"key.arn"}


def test_a_secret_made_for_one_access_serves_another_only_with_consent(fast_onboarding: Onboarding) -> None:
    """Row 6 (a)."""
    victim = fast_onboarding.detail()
    secret = fast_onboarding.onboard(victim)["resources"]["secretArn"]
    reader = new_role(fast_onboarding)
    mine = fast_onboarding.detail(
        key=victim["key"],
        secret={"value": {"existing": {"secretArn": secret}}, "originReaders": [reader]},
        managementRoles=None,
    )
    mine["resource"] |= {"baseUrl": victim["resource"]["baseUrl"], "configure": False}
    before = fast_onboarding.account_snapshot()

    assert fast_onboarding.rejected_paths(mine) == {"secret.value.existing.secretArn"}
    assert fast_onboarding.account_snapshot() == before

    fast_onboarding.consent(secret)
    assert fast_onboarding.send(again(mine))["detail-type"] == "Access Handed Off"


def test_the_host_of_a_hand_off_is_no_host_of_the_secret(fast_onboarding: Onboarding, closed: Closed) -> None:
    """Row 5."""
    victim = fast_onboarding.detail(managementRoles=None, secret={})
    first = elsewhere(victim)
    first["resource"] |= {"configure": False}

    with closed(ALLOWED_ORIGIN_HOSTS="127.0.0.1,localhost"):
        assert fast_onboarding.send(first)["detail-type"] == "Access Handed Off"
        assert fast_onboarding.send(again(first))["detail-type"] == "Access Handed Off"
        fast_onboarding.onboard(victim)

        assert fast_onboarding.rejected_paths(elsewhere(victim)) == {"resource.baseUrl"}
    location = fast_onboarding.location(victim["resource"]["sourceLocation"])
    assert location["HttpConfiguration"] == {"BaseUrl": victim["resource"]["baseUrl"]}


def test_a_copied_token_goes_only_where_its_source_goes(fast_onboarding: Onboarding, closed: Closed) -> None:
    """Row 9."""
    source = fast_onboarding.new_secret(json.dumps({MEMBER: secrets.token_hex(10)}), consent="import")
    detail = fast_onboarding.detail(managementRoles=None, secret={"value": {"copyFrom": {"secretArn": source, "key": MEMBER}}})
    before = fast_onboarding.account_snapshot()

    with closed():
        assert fast_onboarding.rejected_paths(detail) == {"resource.baseUrl"}
        assert fast_onboarding.account_snapshot() == before
    fast_onboarding.onboard(again(detail))
    with closed():
        assert fast_onboarding.onboard(again(detail))["status"] == "unchanged"
        assert fast_onboarding.rejected_paths(elsewhere(detail)) == {"resource.baseUrl"}


def test_a_token_that_a_stuck_rollback_left_in_use_goes_to_no_other_host(fault_injection: FaultInjection) -> None:
    """Row 10."""
    detail = fault_injection.detail(managementRoles=None, secret={})
    name = detail["resource"]["sourceLocation"]
    undo = {"service": "mediatailor", "operation": "DeleteSourceLocation", "caller": "latchkey-Undo", "error": "hold"}
    for fault in ({**LATE, "request": detail["requestId"]}, undo | {"times": 1000}):
        fault_injection.aws.control("POST", "faults", fault)
    fault_injection.put(detail)
    until(lambda: undo["operation"] in json.dumps(fault_injection.aws.control("GET", "faults")), "the rollback", 60)
    # MediaTailor deletes no location with a source.
    fault_injection.mediatailor.create_vod_source(
        SourceLocationName=name,
        VodSourceName="film",
        HttpPackageConfigurations=[{"Path": "/film/index.m3u8", "SourceGroup": "hls", "Type": "HLS"}],
    )
    fault_injection.aws.control("DELETE", "faults")
    assert fault_injection.outcomes.wait_for(detail["requestId"], 240)["detail-type"] == "Request Failed"
    assert fault_injection.location(name)["HttpConfiguration"] == {"BaseUrl": detail["resource"]["baseUrl"]}

    with parameters(fault_injection):
        assert fault_injection.rejected_paths(elsewhere(detail)) == {"resource.baseUrl"}


def test_a_partners_live_key_gets_no_administrators(fast_onboarding: Onboarding) -> None:
    """Row 7 (c)."""
    detail = adobe_detail()
    key = fast_onboarding.send(detail)["detail"]["resources"]["keyArn"]
    before = fast_onboarding.key_policy(key)

    powers = again(detail, key={"administrators": [new_role(fast_onboarding)], "allowDeletion": True})
    assert fast_onboarding.rejected_paths(powers) == {"key.administrators", "key.allowDeletion"}
    assert fast_onboarding.key_policy(key) == before


def test_what_an_owner_sets_during_the_step_is_kept(fault_injection: FaultInjection) -> None:
    """Row 11: the update of an endpoint replaces all its settings."""
    fault_injection.aws.control("PUT", "assumptions", {"omittedOnPut": "clear"})
    consumer = CONSUMERS["mediapackage"](fault_injection.aws)
    detail = consumer.detail
    hold = {"service": "iam", "operation": "GetRole", "caller": "ConfigureAccess", "error": "hold"}
    fault_injection.aws.control("POST", "faults", hold | {"request": detail["requestId"]})

    fault_injection.put(detail)
    until(lambda: any(one["operation"] == "GetRole" for one in fault_injection.aws.control("GET", "faults")), "the step", 60)
    members = ("Description", "ManifestName", "HlsPackage", "StartoverWindowSeconds", "TimeDelaySeconds")
    kept = {member: value for member, value in consumer.settings().items() if member in members}
    fault_injection.aws.client("mediapackage").update_origin_endpoint(
        Id=detail["resource"]["originEndpoint"], Whitelist=["192.0.2.0/24"], **kept
    )
    fault_injection.aws.control("DELETE", "faults")

    assert fault_injection.outcomes.wait_for(detail["requestId"], 120)["detail-type"] == "Access Onboarded"
    assert consumer.settings()["Whitelist"] == ["192.0.2.0/24"]


@pytest.mark.parametrize("way", ["existing", "copyFrom", "name"])
def test_nothing_about_a_value_is_reported_without_consent(fast_onboarding: Onboarding, way: str) -> None:
    """Row 23."""
    token = secrets.token_hex(100)
    name = f"latchkey/theirs/{secrets.token_hex(4)}"
    tags = [{"Key": "latchkey:managed-by", "Value": "latchkey"}, {"Key": "latchkey:access", "Value": "mediatailor/x/y"}]
    made = fast_onboarding.secretsmanager.create_secret(Name=name, SecretString=json.dumps({"other": token}), Tags=tags)
    secret = {"name": name} if way == "name" else {"value": {way: {"secretArn": made["ARN"]}}}

    event = fast_onboarding.send(fast_onboarding.detail(secret=secret, managementRoles=None))

    assert event["detail-type"] == "Request Rejected"
    assert {error["place"] for error in event["detail"]["errors"]} <= {
        "secret.name",
        "secret.value.existing.secretArn",
        "secret.value.copyFrom.secretArn",
    }


def test_a_location_that_could_not_be_set_back_is_not_switched(fast_onboarding: Onboarding) -> None:
    """Row 13."""
    theirs = fast_onboarding.new_secret(
        json.dumps({MEMBER: secrets.token_hex(10)}), consent=None, KmsKeyId=fast_onboarding.new_key(consent=False)
    )
    reading = {"Effect": "Allow", "Principal": {"Service": "mediatailor.amazonaws.com"}, "Resource": theirs}
    reading["Action"] = "secretsmanager:GetSecretValue"
    owner = f"arn:aws:iam::{ACCOUNT}:root"
    denying = reading | {
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Condition": {"ArnNotEquals": {"aws:PrincipalArn": owner}},
    }
    detail = fast_onboarding.detail(managementRoles=None, secret={"replacesToken": True})
    token = {"HeaderName": "X-Theirs", "SecretArn": theirs, "SecretStringKey": MEMBER}
    access = {"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": token}

    def put(*statements: dict[str, Any]) -> None:
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        fast_onboarding.secretsmanager.put_resource_policy(SecretId=theirs, ResourcePolicy=policy)

    put(reading)
    add_location(fast_onboarding, detail, CONSENT, AccessConfiguration=access)
    put(reading, denying)
    before = fast_onboarding.account_snapshot()

    assert fast_onboarding.rejected_paths(detail) == {"resource"}
    assert fast_onboarding.account_snapshot() == before

    put(reading)
    fast_onboarding.onboard(again(detail))
