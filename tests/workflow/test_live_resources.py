"""A live resource is not switched off by its own onboarding: the table in docs/requests.md, and failures of steps."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from tests.sampling import WHOLE, each_value, some
from tests.workflow.consumer_resources import CONSUMERS, NOTHING_LEFT, ConsumerResource, fetch, left
from tests.workflow.fault_injection import Detail
from tests.workflow.onboarding import Onboarding

_DOCUMENT = Path(__file__).parents[2] / "docs/requests.md"
_HEADING = "| System | Value | Before | After the request | After the confirmation |"
STAGED = [kind for kind in CONSUMERS if kind != "mediapackagev2"]
# Systems whose resources answer requests of a CDN.
SERVING = ["mediapackage", "mediapackage-vod"]
READER = f"arn:aws:iam::{ACCOUNT}:role/Origin"


def _names(consumer: ConsumerResource) -> dict[str, Any]:
    return dict(zip(("ChannelGroupName", "ChannelName", "OriginEndpointName"), consumer.resource.values(), strict=True))


def _public(aws: Embedded) -> ConsumerResource:
    """A v2 endpoint whose policy admits everybody."""
    consumer = CONSUMERS["mediapackagev2"](aws)
    policy = consumer.settings()["Policy"]
    everybody = policy["Statement"][0] | {"Sid": "Everybody", "Principal": "*"}
    policy["Statement"].append(everybody)
    aws.client("mediapackagev2").put_origin_endpoint_policy(**_names(consumer), Policy=json.dumps(policy))
    return consumer


def _close(aws: Embedded, consumer: ConsumerResource) -> None:
    """Removes the statement that admits everybody, as its owner does."""
    found = consumer.settings()
    kept = [statement for statement in found["Policy"]["Statement"] if statement.get("Sid") != "Everybody"]
    policy, authorization = found["Policy"] | {"Statement": kept}, found["CdnAuthConfiguration"]
    aws.client("mediapackagev2").put_origin_endpoint_policy(
        **_names(consumer), Policy=json.dumps(policy), CdnAuthConfiguration=authorization
    )


LIVE: dict[str, Callable[[Embedded], ConsumerResource]] = {**CONSUMERS, "mediapackagev2-public": _public}


def _documented(*, whole: bool) -> Iterator[Any]:
    """The rows of the table: one for each system that a row names, or one for each row, with the systems in turn."""
    _, _, table = _DOCUMENT.read_text().partition(_HEADING)
    rows = [line.strip("| ").split(" | ") for line in table.split("\n\n")[0].splitlines()[2:]]
    for number, (systems, value, *seen) in enumerate(rows):
        named = systems.split(", ")
        for system in named if whole else [named[number % len(named)]]:
            yield pytest.param(system.strip("`"), value, seen, id=f"{system.strip('`')}-{value}")


class _Live:
    """A live resource of a system, and what those who use it see."""

    def __init__(self, onboarding: Onboarding, kind: str) -> None:
        self._onboarding, self._aws = onboarding, onboarding.aws
        self.consumer = None if kind == "mediatailor" else LIVE[kind](onboarding.aws)
        if self.consumer is not None:
            self.detail = self.consumer.staged
            return
        self.detail = onboarding.detail()
        resource = self.detail["resource"]
        # The owner of the location consents.
        onboarding.mediatailor.create_source_location(
            SourceLocationName=resource["sourceLocation"],
            HttpConfiguration={"BaseUrl": resource["baseUrl"]},
            Tags={"latchkey:consent": "adopt"},
        )

    def seen(self, token: str) -> str:
        """What is seen without and with the token; for MediaConnect, whether the stream is encrypted."""
        if self.consumer is None:
            return self._seen_by_mediatailor()
        if self.consumer.url():
            url, header = self.consumer.url(), self.consumer.header
            return f"{fetch(url)} / {fetch(url, header, token)}"
        secret, _ = self.consumer.reads(self.consumer.settings())
        return "encrypted" if secret else "open"

    def _seen_by_mediatailor(self) -> str:
        """The status that the origin answers to MediaTailor."""
        location, film = self.detail["resource"]["sourceLocation"], f"film-{uuid.uuid4().hex[:8]}"
        package = {"Path": f"/{film}/index.m3u8", "SourceGroup": "hls", "Type": "HLS"}
        self._onboarding.mediatailor.create_vod_source(
            SourceLocationName=location, VodSourceName=film, HttpPackageConfigurations=[package]
        )
        requests = self._aws.control("GET", "origin")
        return str(next(one["status"] for one in requests if one["path"] == f"/{location}/{film}/index.m3u8"))

    def value(self, kind: str) -> tuple[dict[str, Any], str]:
        """The source of a value in a request, and the token: unknown for a generated one."""
        if kind == "generated":
            return {"generate": {}}, "nobody-knows-it"
        token = f"{uuid.uuid4()}" if self.consumer is None or self.consumer.member else uuid.uuid4().hex * 2
        if self.detail["resource"].get("keyType") == "srt-password":
            token = f"Aa1-{token[:40]}"
        member = self.consumer.member if self.consumer else self.detail["resource"]["secretKey"]
        text = json.dumps({member: token}) if member else token
        if kind == "adopted":
            return {"existing": {"secretArn": self._onboarding.new_secret(text)}}, token
        source = {"secretArn": self._onboarding.new_secret(text, "import")}
        return {"copyFrom": source | ({"key": member} if member else {})}, token

    def token(self, made: Detail) -> str:
        """The token that those who can read the secret have."""
        text = self._onboarding.secretsmanager.get_secret_value(SecretId=made["secretArn"])["SecretString"]
        member = self.consumer.member if self.consumer else self.detail["resource"]["secretKey"]
        return str(json.loads(text)[member]) if member else text


@pytest.mark.parametrize(("kind", "value", "expected"), [*_documented(whole=WHOLE)])
def test_what_is_seen_of_a_live_resource_is_documented(
    onboarding: Onboarding, kind: str, value: str, expected: list[str]
) -> None:
    live = _Live(onboarding, kind)
    brought, token = live.value(value)
    seen = [live.seen(token)]

    event = onboarding.send(live.detail | {"secret": {"value": brought}})
    outcome = event["detail"]
    assert "resources" in outcome, outcome
    token = live.token(outcome["resources"])
    seen.append(f"{event['detail-type']}: {live.seen(token)}")
    if event["detail-type"] == "Access Handed Off":
        if live.consumer and kind == "mediapackagev2-public":
            early = onboarding.confirm(outcome["accessId"])
            assert [error["place"] for error in early["detail"]["errors"]] == ["resource"], early
            _close(onboarding.aws, live.consumer)
        event = onboarding.confirm(outcome["accessId"])
        seen.append(f"{event['detail-type']}: {live.seen(token)}")
    else:
        seen.append("not needed")

    assert seen == [text.replace("`", "") for text in expected]


def test_every_system_that_reads_a_secret_is_documented() -> None:
    documented = {(row.values[0], row.values[1]) for row in _documented(whole=True)}

    assert documented == {(kind, value) for kind in ("mediatailor", *LIVE) for value in ("generated", "imported", "adopted")}


@contextmanager
def _watched(consumer: ConsumerResource) -> Iterator[set[int]]:
    """The statuses of requests without the token, one after the other."""
    seen, done = set[int](), threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.add(fetch(consumer.url()))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        done.set()
        watching.join()


@pytest.mark.parametrize("kind", SERVING)
def test_an_endpoint_serves_while_it_is_onboarded_with_a_generated_token(
    onboarding: Onboarding, aws: Embedded, kind: str
) -> None:
    consumer = CONSUMERS[kind](aws)

    with _watched(consumer) as seen:
        onboarding.hand_off(consumer.staged)

    assert seen == {200}


def test_an_endpoint_that_adopts_the_token_of_a_staged_access_waits_as_well(onboarding: Onboarding, aws: Embedded) -> None:
    first, second = (CONSUMERS[kind](aws) for kind in SERVING)
    made = onboarding.hand_off(first.staged)["resources"]
    onboarding.consent(made["secretArn"])
    adopted = {"key": {"arn": made["keyArn"]}, "secret": {"value": {"existing": {"secretArn": made["secretArn"]}}}}

    with _watched(second) as seen:
        outcome = onboarding.hand_off(second.staged | adopted)

    assert seen == {200}
    token = second.token(onboarding.secretsmanager.get_secret_value(SecretId=made["secretArn"])["SecretString"])
    assert onboarding.confirm(outcome["accessId"])["detail-type"] == "Access Onboarded"
    assert (fetch(second.url()), fetch(second.url(), second.header, token)) == (403, 200)
    assert fetch(first.url()) == 200


@pytest.mark.parametrize("kind", some(STAGED, 2))
def test_a_staged_access_says_where_the_token_is_and_changes_nothing_on_the_resource(
    onboarding: Onboarding, aws: Embedded, kind: str
) -> None:
    consumer = CONSUMERS[kind](aws)
    before = consumer.settings()

    outcome = onboarding.hand_off(consumer.staged | {"secret": {"originReaders": [READER]}})

    assert (outcome["status"], outcome["changed"]) == ("handed-off", True)
    assert consumer.settings() == before
    made, values = outcome["resources"], outcome["handoff"]["values"]
    assert values.items() >= {"secretArn": made["secretArn"], "readers": READER, "keyArn": made["keyArn"]}.items()
    assert values.get("secretMember", "") == consumer.member
    assert "Handoff Confirmed" in outcome["handoff"]["steps"][-1]
    # The role can really read it.
    text = aws.assume(READER).client("secretsmanager", endpoint_url=aws.url).get_secret_value(SecretId=values["secretArn"])
    assert consumer.token(text["SecretString"])


@pytest.mark.parametrize("kind", some(STAGED, 2, begin=1))
def test_a_confirmation_configures_a_staged_resource_once(onboarding: Onboarding, aws: Embedded, kind: str) -> None:
    consumer = CONSUMERS[kind](aws)
    made = onboarding.hand_off(consumer.staged)
    again = onboarding.hand_off(consumer.staged)

    confirmed = onboarding.confirm(made["accessId"])

    assert (again["status"], again["resources"]["secretArn"]) == ("unchanged", made["resources"]["secretArn"])
    assert confirmed["detail-type"] == "Access Onboarded", confirmed
    assert (confirmed["detail"]["status"], confirmed["detail"]["changed"]) == ("active", True)
    assert consumer.reads(consumer.settings()) == (made["resources"]["secretArn"], made["resources"]["roleArn"])
    repeated = onboarding.confirm(made["accessId"])["detail"]
    assert (repeated["status"], repeated["changed"]) == ("unchanged", False)
    assert onboarding.onboard(consumer.staged)["status"] == "unchanged"


@pytest.mark.parametrize("kind", some(STAGED, 2))
def test_a_request_that_accepts_the_interruption_takes_effect_at_once(onboarding: Onboarding, aws: Embedded, kind: str) -> None:
    consumer = CONSUMERS[kind](aws)
    onboarding.hand_off(consumer.staged)

    made = onboarding.onboard(consumer.staged | {"takesEffectNow": True})["resources"]

    assert consumer.reads(consumer.settings()) == (made["secretArn"], made["roleArn"])


def test_consent_that_is_withdrawn_before_the_confirmation_is_respected(onboarding: Onboarding, aws: Embedded) -> None:
    consumer = CONSUMERS["mediapackage"](aws)
    made = onboarding.hand_off(consumer.staged)
    arn, client = consumer.settings()["Arn"], aws.client("mediapackage")
    client.untag_resource(ResourceArn=arn, TagKeys=["latchkey:consent"])

    rejected = onboarding.confirm(made["accessId"])

    assert rejected["detail-type"] == "Request Rejected"
    assert {error["place"] for error in rejected["detail"]["errors"]} == {"resource"}
    assert fetch(consumer.url()) == 200
    client.tag_resource(ResourceArn=arn, Tags={"latchkey:consent": "adopt"})
    assert onboarding.confirm(made["accessId"])["detail-type"] == "Access Onboarded"


# A permanent failure of each check that runs before a configuration that cannot be rolled back.
BEFORE = {
    "role": {"service": "iam", "operation": "PutRolePolicy"},
    "checks": {"service": "iam", "operation": "SimulatePrincipalPolicy"},
    "registry": {"service": "dynamodb", "operation": "UpdateItem", "caller": "latchkey-RecordAccess"},
}


@pytest.mark.parametrize(("kind", "failing", "omitted"), each_value(STAGED, BEFORE, ["keep", "clear"]))
def test_a_failure_before_the_last_step_leaves_the_resource_as_it_was(
    fast_onboarding: Onboarding, fast_aws: Embedded, kind: str, failing: str, omitted: str
) -> None:
    consumer = CONSUMERS[kind](fast_aws)
    before, detail = consumer.settings(), consumer.detail
    fast_aws.control("PUT", "assumptions", {"omittedOnPut": omitted, "omittedOnFlowUpdate": omitted})
    fault = {"error": "SomethingInvalid", "caller": "latchkey-(?!Undo)", "times": 50, "request": detail["requestId"]}
    fast_aws.control("POST", "faults", fault | BEFORE[failing])

    failed = fast_onboarding.send(detail)

    assert (failed["detail-type"], failed["detail"]["changed"]) == ("Request Failed", False)
    assert consumer.settings() == before
    assert left(fast_onboarding, consumer) == NOTHING_LEFT
    fast_aws.control("DELETE", "faults")
    assert fast_onboarding.onboard(consumer.detail)["status"] == "active"


def test_a_failed_confirmation_leaves_the_access_to_confirm_again(fast_onboarding: Onboarding, fast_aws: Embedded) -> None:
    consumer = CONSUMERS["mediapackage"](fast_aws)
    made = fast_onboarding.hand_off(consumer.staged)
    everything = fast_onboarding.account_snapshot()
    fault = {"error": "SomethingInvalid", "caller": "latchkey-(?!Undo)", "times": 50}
    fast_aws.control("POST", "faults", fault | {"service": "iam", "operation": "SimulatePrincipalPolicy"})

    failed = fast_onboarding.confirm(made["accessId"])

    assert (failed["detail-type"], failed["detail"]["changed"]) == ("Request Failed", False)
    assert fetch(consumer.url()) == 200
    assert fast_onboarding.account_snapshot() == everything
    fast_aws.control("DELETE", "faults")
    assert fast_onboarding.confirm(made["accessId"])["detail-type"] == "Access Onboarded"


def _accepted_by_others(onboarding: Onboarding, consumer: ConsumerResource, prefix: str = "theirs") -> dict[str, str]:
    """Makes an endpoint accept two secrets of other CDNs, through a role of its owner. Returns the tokens by secret."""
    aws, name = onboarding.aws, f"MediaPackage-{uuid.uuid4().hex[:8]}"
    tokens = {}
    for _ in range(2):
        token = str(uuid.uuid4())
        made = onboarding.secretsmanager.create_secret(
            Name=f"{prefix}/{uuid.uuid4()}/token", SecretString=json.dumps({consumer.member: token})
        )
        tokens[made["ARN"]] = token
    trust = {"Effect": "Allow", "Principal": {"Service": "mediapackagev2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    reading = {"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}
    iam = aws.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    document = json.dumps({"Version": "2012-10-17", "Statement": [reading]})
    iam.put_role_policy(RoleName=name, PolicyName="Reading", PolicyDocument=document)
    gate = {
        "Sid": "TheirCdn",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "mediapackagev2:GetObject",
        "Resource": consumer.settings()["Policy"]["Statement"][0]["Resource"],
        "Condition": {"Bool": {"mediapackagev2:RequestHasMatchingCdnAuthHeader": "true"}},
    }
    aws.client("mediapackagev2").put_origin_endpoint_policy(
        **_names(consumer),
        Policy=json.dumps({"Version": "2012-10-17", "Statement": [gate]}),
        CdnAuthConfiguration={"CdnIdentifierSecretArns": [*tokens], "SecretsRoleArn": role["Role"]["Arn"]},
    )
    return tokens


def test_the_cdns_of_an_endpoint_with_several_secrets_are_served_throughout(onboarding: Onboarding, aws: Embedded) -> None:
    consumer = CONSUMERS["mediapackagev2"](aws)
    tokens = _accepted_by_others(onboarding, consumer)
    detail = consumer.staged
    assert onboarding.rejected_paths(detail) == {"secret.replacesToken"}
    assert [fetch(consumer.url(), consumer.header, token) for token in tokens.values()] == [200, 200]

    made = onboarding.onboard(detail | {"resource": consumer.resource | {"otherSecrets": [*tokens]}})["resources"]

    own = consumer.token(onboarding.secretsmanager.get_secret_value(SecretId=made["secretArn"])["SecretString"])
    assert [fetch(consumer.url(), consumer.header, token) for token in (*tokens.values(), own)] == [200, 200, 200]
    assert fetch(consumer.url()) == 403


def test_secrets_that_the_reader_role_cannot_read_are_rejected_with_the_reason(onboarding: Onboarding, aws: Embedded) -> None:
    consumer = CONSUMERS["mediapackagev2"](aws)
    tokens = _accepted_by_others(onboarding, consumer, prefix="strangers")

    rules = onboarding.reject(consumer.staged | {"resource": consumer.resource | {"otherSecrets": [*tokens]}})

    assert {*rules} == {"resource.otherSecrets.0", "resource.otherSecrets.1"}
    assert "AdoptedSecretPrefix" in rules["resource.otherSecrets.0"]
    assert [fetch(consumer.url(), consumer.header, token) for token in tokens.values()] == [200, 200]


# ---------------------------------------------------------------- other ways to authenticate


@pytest.mark.parametrize("access_type", ["S3_SIGV4", "AUTODETECT_SIGV4"])
@pytest.mark.parametrize("tags", [{}, {"latchkey:consent": "adopt"}], ids=["stranger", "consented"])
def test_a_location_that_signs_its_requests_is_not_changed(
    onboarding: Onboarding, access_type: str, tags: dict[str, str]
) -> None:
    detail = onboarding.detail()
    name = detail["resource"]["sourceLocation"]
    detail["resource"]["baseUrl"] = "https://assets-bucket.s3.us-east-1.amazonaws.com/vod"
    onboarding.mediatailor.create_source_location(
        SourceLocationName=name,
        HttpConfiguration={"BaseUrl": detail["resource"]["baseUrl"]},
        AccessConfiguration={"AccessType": access_type},
        Tags=tags,
    )

    assert "secret.replacesToken" in onboarding.rejected_paths(detail)
    assert onboarding.location(name)["AccessConfiguration"]["AccessType"] == access_type


def test_a_bucket_is_warned_of(onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    detail["resource"]["baseUrl"] = "https://assets-bucket.s3.us-east-1.amazonaws.com/vod"

    assert [warning["place"] for warning in onboarding.onboard(detail)["warnings"]] == ["resource.baseUrl"]


def test_an_entitlement_under_speke_is_not_changed(onboarding: Onboarding, aws: Embedded) -> None:
    consumer, client = CONSUMERS["mediaconnect-entitlement"](aws), aws.client("mediaconnect")
    speke = {
        "KeyType": "speke",
        "RoleArn": READER,
        "Url": "https://keys.example.com",
        "Region": "us-east-1",
        "ResourceId": "r",
        "DeviceId": "d",
        "ConstantInitializationVector": uuid.uuid4().hex,
    }
    flow = consumer.resource["flowArn"]
    client.grant_flow_entitlements(
        FlowArn=flow, Entitlements=[{"Name": "affiliate", "Subscribers": [ACCOUNT], "Encryption": speke}]
    )
    detail = consumer.staged | {"resource": {"flowArn": flow, "entitlement": "affiliate", "algorithm": "aes128"}}

    assert onboarding.rejected_paths(detail) == {"secret.replacesToken"}
    found = client.describe_flow(FlowArn=flow)["Flow"]["Entitlements"]
    assert [one["Encryption"]["KeyType"] for one in found if one["Name"] == "affiliate"] == ["speke"]
