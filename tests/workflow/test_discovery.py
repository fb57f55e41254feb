"""A brownfield account is adopted by its own discovery, without an interruption of a service."""

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from latchkey.aws.rates import COMMON
from latchkey.systems import SYSTEMS
from local_aws.tools.embedded_aws import Embedded
from tests.workflow.bulk_requests import Bulk
from tests.workflow.consumer_resources import CONSUMERS, ConsumerResource
from tests.workflow.onboarding import MEMBER, Onboarding
from tests.workflow.rotations import Cdn, Load, SourceLocationClient

NO_TAGS: dict[str, str] = {}
ONBOARDING_FUNCTIONS = (
    "AttachPolicies", "CheckRequest", "ConfigureAccess", "CreateKey", "CreateSecret", "RecordAccess", "ValidateAccess",
)  # fmt: skip
KINDS = ("mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect-output", "mediaconnect-srt")


class Brownfield:
    """Resources of every system that people set up by hand, each with a secret, a key and, if its service needs one, a role."""

    def __init__(self, onboarding: Onboarding) -> None:
        self.onboarding, self.aws = onboarding, onboarding.aws
        self.tokens: dict[str, str] = {}

    def secret(self, name: str, value: str) -> tuple[str, str]:
        key: str = self.onboarding.kms.create_key()["KeyMetadata"]["Arn"]
        made = self.onboarding.secretsmanager.create_secret(Name=name, SecretString=value, KmsKeyId=key)
        self.tokens[made["ARN"]] = value
        return made["ARN"], key

    def location(self) -> dict[str, Any]:
        name = f"loc-{uuid.uuid4().hex[:8]}"
        secret, _ = self.secret(f"origin/{name}", json.dumps({MEMBER: uuid.uuid4().hex}))
        service = {"Effect": "Allow", "Principal": {"Service": "mediatailor.amazonaws.com"}}
        statement = service | {"Action": "secretsmanager:GetSecretValue", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.onboarding.secretsmanager.put_resource_policy(SecretId=secret, ResourcePolicy=policy)
        token = {"SecretArn": secret, "HeaderName": "X-Origin-Token", "SecretStringKey": MEMBER}
        self.onboarding.mediatailor.create_source_location(
            SourceLocationName=name,
            HttpConfiguration={"BaseUrl": f"{self.aws.origin_url}/{name}"},
            AccessConfiguration={"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": token},
        )
        return {"name": name, "secret": secret}

    def role(self, service: str, secret: str, key: str) -> str:
        name = f"reader-{uuid.uuid4().hex[:8]}"
        trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
        reading = {"Effect": "Allow", "Action": "secretsmanager:*", "Resource": secret}
        batch = {"Effect": "Allow", "Action": "secretsmanager:BatchGetSecretValue", "Resource": "*"}
        decrypting = {"Effect": "Allow", "Action": "kms:*", "Resource": key}
        iam = self.aws.client("iam")
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        policy = json.dumps({"Version": "2012-10-17", "Statement": [reading, batch, decrypting]})
        iam.put_role_policy(RoleName=name, PolicyName="reading", PolicyDocument=policy)
        return arn

    def consumer(self, kind: str) -> tuple[ConsumerResource, str]:
        one = CONSUMERS[kind](self.aws, NO_TAGS)
        value = uuid.uuid4().hex * 2 if one.system == "mediaconnect" else json.dumps({one.member: str(uuid.uuid4())})
        secret, key = self.secret(f"theirs/{one.name}", value)
        self._configure(one, secret, self.role(one.service, secret, key))
        return one, secret

    def _configure(self, one: ConsumerResource, secret: str, role: str) -> None:
        authorization = {"CdnIdentifierSecret": secret, "SecretsRoleArn": role}
        client = self.aws.client(one.system)
        if one.system == "mediapackage":
            client.update_origin_endpoint(Id=one.name, HlsPackage={"PlaylistWindowSeconds": 90}, Authorization=authorization)
        elif one.system == "mediapackage-vod":
            client.update_packaging_group(Id=one.name, Authorization=authorization)
        elif one.system == "mediapackagev2":
            names = {
                "ChannelGroupName": one.resource["channelGroup"],
                "ChannelName": one.resource["channel"],
                "OriginEndpointName": one.resource["originEndpoint"],
            }
            policy = json.loads(client.get_origin_endpoint_policy(**names)["Policy"])
            first = policy["Statement"][0]
            with_header = {"Bool": {"mediapackagev2:RequestHasMatchingCdnAuthHeader": "true"}}
            cdn_only = {"Sid": "Cdn", "Effect": "Allow", "Principal": "*", "Action": "mediapackagev2:GetObject"}
            policy["Statement"].append(cdn_only | {"Resource": first["Resource"], "Condition": with_header})
            cdn = {"CdnIdentifierSecretArns": [secret], "SecretsRoleArn": role}
            client.put_origin_endpoint_policy(**names, Policy=json.dumps(policy), CdnAuthConfiguration=cdn)
        else:
            flow = client.describe_flow(FlowArn=one.resource["flowArn"])["Flow"]
            encryption = {"KeyType": one.resource["keyType"], "SecretArn": secret, "RoleArn": role}
            encryption |= {"Algorithm": "aes256"} if one.resource["keyType"] == "static-key" else {}
            client.update_flow_output(FlowArn=flow["FlowArn"], OutputArn=flow["Outputs"][0]["OutputArn"], Encryption=encryption)


def discover(onboarding: Onboarding, **members: Any) -> dict[str, Any]:
    """Sends a discovery request that must be completed. Returns the detail of its outcome."""
    detail = {"requestId": f"discover-{uuid.uuid4().hex[:8]}"} | members
    onboarding.put(detail, "Discovery Requested")
    event = onboarding.outcomes.wait_for(detail["requestId"], 120)
    assert event["detail-type"] == "Discovery Completed", json.dumps(event["detail"], indent=2)
    completed: dict[str, Any] = event["detail"]
    return completed


def found(bulk: Bulk, completed: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["resourceArn"]: one for one in bulk.results(completed)}


def give_consent(aws: Embedded, arn: str) -> None:
    """Tags a resource as its owner does."""
    service = arn.split(":")[2]
    if service == "kms":
        aws.client("kms").tag_resource(KeyId=arn, Tags=[{"TagKey": "latchkey:consent", "TagValue": "adopt"}])
    elif service == "secretsmanager":
        aws.client(service).tag_resource(SecretId=arn, Tags=[{"Key": "latchkey:consent", "Value": "adopt"}])
    else:
        name = {"ResourceArn": arn}
        aws.client(service).tag_resource(**name, Tags={"latchkey:consent": "adopt"})


@contextmanager
def asked_all_the_time(onboarding: Onboarding, location: str, consumers: list[tuple[ConsumerResource, str]]) -> Iterator[None]:
    """Clients of every resource that serves ask without a pause, each with the token from before. All must be answered."""
    served = [Cdn(consumer, consumer.token(token)) for consumer, token in consumers if consumer.url()]
    clients: list[Cdn | SourceLocationClient] = [SourceLocationClient(onboarding, location), *served]
    with ExitStack() as stack:
        for client in clients:
            stack.enter_context(Load(client.ask).running())
        yield


def assert_paced_calls(calls: list[dict[str, Any]], systems: list[str]) -> None:
    """The pace of bulk requests expects at most so many calls of each onboarding. The functions of other flows are left out."""
    own = [one for one in calls if any(f"{name}Function" in one["principal"] for name in ONBOARDING_FUNCTIONS)]
    assert own
    for system in {*systems}:
        configuration = SYSTEMS[system].configuration
        assert configuration
        for quota in (*COMMON, *configuration.quotas):
            lines = len(systems) if quota in COMMON else systems.count(system)
            counted = sum(one["count"] for one in own if quota.counts(one["service"], one["operation"]))
            assert counted <= quota.calls * lines, (quota, counted, lines)


def test_a_brownfield_account_is_adopted_by_its_own_discovery(onboarding: Onboarding) -> None:
    aws, brownfield, bulk = onboarding.aws, Brownfield(onboarding), Bulk(onboarding)
    location = brownfield.location()
    consumers = [brownfield.consumer(kind) for kind in KINDS]
    completed = discover(onboarding)
    assert (completed["found"], completed["adoptable"], completed["unread"]) == (1 + len(KINDS), 1 + len(KINDS), [])
    resources = found(bulk, completed)
    assert all(token not in json.dumps([*resources.values()]) for token in brownfield.tokens.values())
    assert all(one["request"] and len(one["consents"]) == 3 for one in resources.values()), resources
    tokens = [(consumer, brownfield.tokens[secret]) for consumer, secret in consumers]
    with asked_all_the_time(onboarding, location["name"], tokens):
        for one in resources.values():
            for consent in one["consents"]:
                give_consent(aws, consent["arn"])
        bulk.store_lines(*(one["request"] for one in resources.values()))
        aws.control("DELETE", "calls")
        adopted = bulk.results(bulk.complete())
        calls = aws.control("GET", "calls")

    assert {(one["accessId"], one["outcome"]) for one in adopted} == {
        (one["accessId"], "Access Onboarded") for one in resources.values()
    }, adopted
    for one in adopted:
        outcome = onboarding.outcomes.wait_for(one["requestId"], 30)["detail"]
        assert all(check["passed"] for check in outcome["checks"]), outcome["checks"]
        [expected] = [each["secretArn"] for each in resources.values() if each["accessId"] == one["accessId"]]
        assert outcome["resources"]["secretArn"] == expected
    assert_paced_calls(calls, [one["system"] for one in resources.values()])
    asked = [one for one in aws.control("GET", "origin") if one["path"].startswith(f"/{location['name']}/")]
    assert len({one["valueSha256"] for one in asked}) == 1, "MediaTailor sent the same token all the time"
    for secret, value in brownfield.tokens.items():
        assert onboarding.secretsmanager.get_secret_value(SecretId=secret)["SecretString"] == value
    for consumer, secret in consumers:
        assert consumer.reads(consumer.settings())[0] == secret
    again = discover(onboarding)
    assert (again["found"], again["unread"]) == (0, [])


def test_a_system_that_cannot_be_read_concludes_nothing_about_it(onboarding: Onboarding) -> None:
    Brownfield(onboarding).location()
    fault = {"service": "mediatailor", "operation": "ListSourceLocations", "error": "AccessDeniedException", "status": 403}
    onboarding.aws.control("POST", "faults", fault | {"times": 9})

    completed = discover(onboarding, system="mediatailor")

    assert (completed["found"], [one["subject"] for one in completed["unread"]]) == (0, ["mediatailor"])
