"""MediaTailor in front of MediaPackage v1: a secret created by hand moves to another key without interruption."""

import json
import threading
import uuid

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from tests.workflow.consumer_resources import fetch
from tests.workflow.onboarding import Onboarding

HEADER, MEMBER = "X-MediaPackage-CDNIdentifier", "MediaPackageCDNIdentifier"


def _made_by_hand(aws: Embedded, secret: str) -> str:
    """Creates an origin endpoint with the role of the user guide, which has no KMS permissions, and returns its URL."""
    iam, client, name = aws.client("iam"), aws.client("mediapackage"), uuid.uuid4().hex[:8]
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "mediapackage.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
            }
        ],
    }
    actions = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret", "secretsmanager:ListSecretVersionIds"]
    reading = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": secret}]}
    role = iam.create_role(RoleName=f"MediaPackage-{name}", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=f"MediaPackage-{name}", PolicyName="Reading", PolicyDocument=json.dumps(reading))
    client.create_channel(Id=f"channel-{name}")
    endpoint = client.create_origin_endpoint(
        Id=f"endpoint-{name}",
        ChannelId=f"channel-{name}",
        HlsPackage={},
        Authorization={"CdnIdentifierSecret": secret, "SecretsRoleArn": role},
    )
    return str(endpoint["Url"])


def test_mediapackage_reads_the_secret_throughout_its_move_to_another_key(onboarding: Onboarding, aws: Embedded) -> None:
    token = str(uuid.uuid4())
    secret = onboarding.new_secret(json.dumps({MEMBER: token}))
    url = _made_by_hand(aws, secret)
    detail = onboarding.detail(secret={"value": {"existing": {"secretArn": secret}}})
    detail["resource"] |= {"baseUrl": url.rpartition("/")[0], "header": HEADER, "secretKey": MEMBER}
    seen, done = list[int](), threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.append(fetch(url, HEADER, token))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        made = onboarding.onboard(detail)["resources"]
    finally:
        done.set()
        watching.join()

    assert set(seen) == {200}
    assert len(seen) > 20
    assert onboarding.secretsmanager.describe_secret(SecretId=secret)["KmsKeyId"] == made["keyArn"]
    # A new version is encrypted only under the new key.
    onboarding.secretsmanager.put_secret_value(SecretId=secret, SecretString=json.dumps({MEMBER: f"{token}-2"}))
    assert fetch(url, HEADER, f"{token}-2") == 200
    mediatailor = aws.client("mediatailor")
    name = detail["resource"]["sourceLocation"]
    mediatailor.create_vod_source(
        SourceLocationName=name,
        VodSourceName="match",
        HttpPackageConfigurations=[{"Path": "/" + url.rpartition("/")[2], "SourceGroup": "hls", "Type": "HLS"}],
    )
