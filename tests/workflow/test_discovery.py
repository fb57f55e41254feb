"""A brownfield account is adopted by its own discovery, without an interruption of a service."""

import json
import uuid
from typing import Any

from local_aws.tools.embedded_aws import Embedded
from tests.workflow.consumer_resources import CONSUMERS, ConsumerResource, fetch
from tests.workflow.onboarding import MEMBER, Onboarding

NO_TAGS: dict[str, str] = {}
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
            policy = client.get_origin_endpoint_policy(**names)["Policy"]
            cdn = {"CdnIdentifierSecretArns": [secret], "SecretsRoleArn": role}
            client.put_origin_endpoint_policy(**names, Policy=policy, CdnAuthConfiguration=cdn)
        else:
            flow = client.describe_flow(FlowArn=one.resource["flowArn"])["Flow"]
            encryption = {"KeyType": one.resource["keyType"], "SecretArn": secret, "RoleArn": role}
            encryption |= {"Algorithm": "aes256"} if one.resource["keyType"] == "static-key" else {}
            client.update_flow_output(FlowArn=flow["FlowArn"], OutputArn=flow["Outputs"][0]["OutputArn"], Encryption=encryption)


def discover(aws: Embedded, tenant: str = "default") -> dict[str, Any]:
    client = aws.client("lambda")
    pages = client.get_paginator("list_functions").paginate()
    [name] = [one["FunctionName"] for page in pages for one in page["Functions"] if "DiscoverResources" in one["FunctionName"]]
    payload = json.dumps({"requestId": f"discover-{uuid.uuid4().hex[:8]}", "tenant": tenant})
    answer: dict[str, Any] = json.loads(client.invoke(FunctionName=name, Payload=payload)["Payload"].read())
    assert "errorType" not in answer, answer
    return answer


def found(aws: Embedded, answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    [bucket] = [one["Name"] for one in aws.client("s3").list_buckets()["Buckets"] if "databucket" in one["Name"].lower()]
    text = aws.client("s3").get_object(Bucket=bucket, Key=answer["key"])["Body"].read().decode()
    return {one["resourceArn"]: one for one in map(json.loads, text.splitlines())}


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


def test_a_brownfield_account_is_adopted_by_its_own_discovery(onboarding: Onboarding) -> None:
    aws, brownfield = onboarding.aws, Brownfield(onboarding)
    location = brownfield.location()
    consumers = [brownfield.consumer(kind) for kind in KINDS]
    answer = discover(aws)
    assert (answer["found"], answer["unread"]) == (1 + len(KINDS), [])
    resources = found(aws, answer)
    assert all(token not in json.dumps([*resources.values()]) for token in brownfield.tokens.values())
    assert all(one["request"] and len(one["consents"]) == 3 for one in resources.values()), resources

    for one in resources.values():
        for consent in one["consents"]:
            give_consent(aws, consent["arn"])
        outcome = onboarding.onboard(one["request"])
        assert (outcome["accessId"], outcome["resources"]["secretArn"]) == (one["accessId"], one["secretArn"])

    for secret, value in brownfield.tokens.items():
        assert onboarding.secretsmanager.get_secret_value(SecretId=secret)["SecretString"] == value
    for consumer, secret in consumers:
        assert consumer.reads(consumer.settings())[0] == secret
        if consumer.url():
            assert fetch(consumer.url(), consumer.header, consumer.token(brownfield.tokens[secret])) == 200
    assert (
        onboarding.location(location["name"])["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]["SecretArn"]
        == (location["secret"])
    )
    again = discover(aws)
    assert (again["found"], again["unread"]) == (0, [])


def test_a_system_that_cannot_be_read_concludes_nothing_about_it(onboarding: Onboarding) -> None:
    Brownfield(onboarding).location()
    fault = {"service": "mediatailor", "operation": "ListSourceLocations", "error": "AccessDeniedException", "status": 403}
    onboarding.aws.control("POST", "faults", fault | {"times": 9})

    answer = discover(onboarding.aws)

    assert (answer["found"], [one["subject"] for one in answer["unread"]]) == (0, ["mediatailor"])
