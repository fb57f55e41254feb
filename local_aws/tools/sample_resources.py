"""What the sample requests in events/requests refer to: media resources, secrets and roles, whose owners have consented."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from ministack.services import secretsmanager

from local_aws.emulator.account import ACCOUNT, REGION
from local_aws.emulator.services import mediaconnect

_MANIFEST = Path(__file__).parents[2] / "events/manifests/channels.jsonl"
_CONSENT = {"latchkey:consent": "adopt"}
_FLOW_ID = "1-AbCdEfGhIjKlMnOp-0123456789ab"
_SECRET_SUFFIX = "AbCdEf"
_OTHER_REGION = "eu-west-1"
# The roles of the sample requests, except those that the account has anyway.
_ROLES = ("Affiliates", "Cdn", "KeyAdministrators", "Receiver")
# The keys that the examples bring, of test data only.
_CONTRIBUTION_KEY, _CDN_IDENTIFIER = "0123456789abcdef" * 4, "9d1b7c1e-5f0a-4c39-8b1e-2f6d7a8c9e01"


def create_sample_resources(endpoint: str) -> None:
    """Creates everything that exists before a team sends one of the sample requests."""

    def client(service: str, region: str = REGION) -> Any:
        make: Any = boto3.client
        return make(service, endpoint_url=endpoint, region_name=region)

    _create_roles(client("iam"))
    _store_objects(client("s3"))
    _create_secret(client("secretsmanager", _OTHER_REGION), "contribution/sports", _CONTRIBUTION_KEY, "import")
    value = json.dumps({"MediaPackageCDNIdentifier": _CDN_IDENTIFIER})
    _create_secret(client("secretsmanager"), "MediaPackage/sports", value, "adopt")
    _create_endpoint(client("mediapackage"))
    client("mediapackage-vod").create_packaging_group(Id="sports-vod", Tags=_CONSENT)
    _create_endpoint_v2(client("mediapackagev2"))
    with _replaced(mediaconnect, "new_flow_id", lambda: _FLOW_ID):
        _create_flow(client("mediaconnect"))


def _create_roles(iam: Any) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    for role in _ROLES:
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))


def _store_objects(s3: Any) -> None:
    """Stores a manifest, a bulk request that has to be completed, and the inventory of a reconciliation."""
    [bucket] = [each["Name"] for each in s3.list_buckets()["Buckets"] if "databucket" in each["Name"]]
    s3.put_object(Bucket=bucket, Key="manifests/channels.jsonl", Body=_MANIFEST.read_bytes())
    result = {"line": 1, "requestId": "sample", "outcome": "Access Onboarded", "status": "active", "changed": True}
    results = {"ResultFiles": {"SUCCEEDED": [{"Key": "bulk/sample/map/SUCCEEDED_0.jsonl"}]}}
    request = {"line": 1, "content": {"requestId": "sample", "contentHash": "0" * 64}}
    for key, stored in {"map/SUCCEEDED_0.jsonl": result, "map/manifest.json": results, "requests.jsonl": request}.items():
        s3.put_object(Bucket=bucket, Key=f"bulk/sample/{key}", Body=json.dumps(stored).encode())
    inventory = json.dumps({"accessId": "mediatailor/sourceLocation/live-origin"})
    s3.put_object(Bucket=bucket, Key="reconciliations/sample/accesses.jsonl", Body=inventory.encode())


def _create_secret(client: Any, name: str, value: str, consent: str) -> None:
    tags = [{"Key": "latchkey:consent", "Value": consent}]
    with _replaced(secretsmanager, "new_uuid", lambda: f"{_SECRET_SUFFIX}00-0000-4000-8000-000000000000"):
        client.create_secret(Name=name, SecretString=value, Tags=tags)


def _create_endpoint(client: Any) -> None:
    client.create_channel(Id="sports")
    client.create_origin_endpoint(Id="sports-hls", ChannelId="sports", HlsPackage={"SegmentDurationSeconds": 6}, Tags=_CONSENT)


def _create_endpoint_v2(client: Any) -> None:
    group, channel = {"ChannelGroupName": "sports"}, {"ChannelName": "main"}
    client.create_channel_group(**group)
    client.create_channel(**group, **channel, InputType="HLS")
    names = {**group, **channel, "OriginEndpointName": "hls"}
    client.create_origin_endpoint(**names, ContainerType="TS", HlsManifests=[{"ManifestName": "index"}], Tags=_CONSENT)


def _create_flow(client: Any) -> None:
    """A flow with a part for each sample request of MediaConnect, none of which is encrypted yet."""
    zixi: Mapping[str, Any] = {"Protocol": "zixi-push", "Destination": "192.0.2.1", "Port": 2088, "StreamId": "sports"}
    srt: Mapping[str, Any] = {"Protocol": "srt-caller", "Destination": "192.0.2.2", "Port": 2089}
    made = client.create_flow(
        Name="sports",
        Sources=[{"Name": "contribution", "Protocol": "zixi-push", "WhitelistCidr": "198.51.100.0/24"}],
        Outputs=[{"Name": "distribution", **zixi}, {"Name": "studio", **srt}],
        Entitlements=[{"Name": "affiliate", "Subscribers": ["111122223333"]}],
    )
    client.tag_resource(ResourceArn=made["Flow"]["FlowArn"], Tags=_CONSENT)


@contextmanager
def _replaced(module: Any, name: str, function: Callable[[], str]) -> Iterator[None]:
    """Makes a module use another function, which returns a known id."""
    former = getattr(module, name)
    setattr(module, name, function)
    try:
        yield
    finally:
        setattr(module, name, former)
