"""Lazily created boto3 clients: one per service, Region and configuration."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3
import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_events.client import EventBridgeClient
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_secretsmanager.client import SecretsManagerClient
    from mypy_boto3_stepfunctions.client import SFNClient


type ClientFor = Callable[[str], Any]
# Standard mode retries short throttling. If its attempts do not suffice, the state machine retries the function.
_CONFIG = Config(retries={"mode": "standard"}, connect_timeout=3, read_timeout=10)
_API_MODELS = Path(__file__).parent / "api_models"
_WITHOUT_RETRIES = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))


@cache
def _client(service: str, region: str | None = None, config: Config = _CONFIG) -> Any:
    return _session().client(cast("Any", service), region_name=region, config=config)


@cache
def _session() -> boto3.session.Session:
    return boto3.session.Session(botocore_session=botocore_session())


def botocore_session() -> botocore.session.Session:
    """A session of botocore with the operations that the pinned version does not have yet.

    botocore merges `service-2.latchkey-extras.json` of `api_models` into its model of a service. In a newer version, which has
    the operations, that changes nothing.
    https://github.com/boto/botocore/blob/1.43.106/botocore/loaders.py
    """
    session = botocore.session.get_session()
    loader = session.get_component("data_loader")
    loader.search_paths.append(str(_API_MODELS))
    loader.extras_types.append("latchkey")
    return session


@cache
def regions(partition: str) -> frozenset[str]:
    """The Regions of a partition that have Secrets Manager."""
    return frozenset(_session().get_available_regions("secretsmanager", partition_name=partition))


def client_for(service: str) -> Any:
    """The client of a service that configures resources."""
    return _client(service)


def client_for_without_retries(service: str) -> Any:
    """The client for updates that replace all settings. The caller reads the resource again before it repeats an update."""
    return _client(service, None, _WITHOUT_RETRIES)


def kms() -> KMSClient:
    return cast("KMSClient", _client("kms"))


def kms_without_retries() -> KMSClient:
    """KMS without retries: before a failed CreateKey or PutKeyPolicy call is repeated, its effect is read."""
    return cast("KMSClient", _client("kms", None, _WITHOUT_RETRIES))


def secretsmanager_without_retries() -> SecretsManagerClient:
    """Secrets Manager without retries: before a failed PutResourcePolicy call is repeated, its effect is read."""
    return cast("SecretsManagerClient", _client("secretsmanager", None, _WITHOUT_RETRIES))


def secretsmanager(region: str | None = None) -> SecretsManagerClient:
    """Secrets Manager in this Region or, for the source of a copied secret, in another one."""
    return cast("SecretsManagerClient", _client("secretsmanager", region))


def iam() -> IAMClient:
    return cast("IAMClient", _client("iam"))


def cloudformation() -> CloudFormationClient:
    return cast("CloudFormationClient", _client("cloudformation"))


def dynamodb() -> DynamoDBClient:
    return cast("DynamoDBClient", _client("dynamodb"))


def events() -> EventBridgeClient:
    return cast("EventBridgeClient", _client("events"))


def ssm() -> Any:
    return _client("ssm")


def s3() -> S3Client:
    """S3. Another endpoint than that of AWS has no domain names for buckets."""
    return cast("S3Client", _client("s3", None, _s3_config(in_paths="AWS_ENDPOINT_URL" in os.environ)))


@cache
def _s3_config(*, in_paths: bool) -> Config:
    return _CONFIG.merge(Config(s3={"addressing_style": "path"})) if in_paths else _CONFIG


def stepfunctions() -> SFNClient:
    return cast("SFNClient", _client("stepfunctions"))


@dataclass(frozen=True)
class Clients:
    """The clients that a flow uses. `client_for` returns the client of a service that configures resources.

    `updating` returns the client for updates that replace all settings.
    """

    kms: KMSClient
    secretsmanager: SecretsManagerClient
    iam: IAMClient
    client_for: ClientFor
    updating: ClientFor = client_for_without_retries


def standard_clients() -> Clients:
    """Clients that retry in standard mode."""
    return Clients(kms(), secretsmanager(), iam(), client_for)


def clients_without_retries() -> Clients:
    """Clients for policy updates: KMS and Secrets Manager do not retry."""
    return Clients(kms_without_retries(), secretsmanager_without_retries(), iam(), client_for)


def rollback_clients() -> Clients:
    """Clients for rollbacks. None of them retries: the caller reads the effect of a failed call before it repeats the call."""
    role_client = cast("IAMClient", client_for_without_retries("iam"))
    return Clients(kms_without_retries(), secretsmanager_without_retries(), role_client, client_for_without_retries)
