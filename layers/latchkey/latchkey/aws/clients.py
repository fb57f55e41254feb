"""Lazily created boto3 clients, one per service and configuration."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_events.client import EventBridgeClient
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_kms.client import KMSClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient
    from mypy_boto3_stepfunctions.client import SFNClient


type ClientFor = Callable[[str], Any]
# Standard mode rides out short throttling itself; the state machine's Retry takes over where its attempts do not suffice.
_CONFIG = Config(retries={"mode": "standard"}, connect_timeout=3, read_timeout=10)
_WITHOUT_RETRIES = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))


@cache
def _client(service: str, region: str | None = None, config: Config = _CONFIG) -> Any:
    return _session().client(cast("Any", service), region_name=region, config=config)


@cache
def _session() -> boto3.session.Session:
    return boto3.session.Session()


@cache
def regions(partition: str) -> frozenset[str]:
    """The Regions of a partition that have Secrets Manager."""
    return frozenset(_session().get_available_regions("secretsmanager", partition_name=partition))


def client_for(service: str) -> Any:
    """The client of the service that configures a system's resources."""
    return _client(service)


def kms() -> KMSClient:
    return cast("KMSClient", _client("kms"))


def kms_without_retries() -> KMSClient:
    """KMS without retries: a CreateKey or PutKeyPolicy that got no answer is repeated only after another look."""
    return cast("KMSClient", _client("kms", None, _WITHOUT_RETRIES))


def secretsmanager_without_retries() -> SecretsManagerClient:
    """Secrets Manager without retries: a PutResourcePolicy that got no answer is repeated only after another look."""
    return cast("SecretsManagerClient", _client("secretsmanager", None, _WITHOUT_RETRIES))


def secretsmanager(region: str | None = None) -> SecretsManagerClient:
    """Secrets Manager here, or in the Region of a secret that is copied from elsewhere."""
    return cast("SecretsManagerClient", _client("secretsmanager", region))


def iam() -> IAMClient:
    return cast("IAMClient", _client("iam"))


def dynamodb() -> DynamoDBClient:
    return cast("DynamoDBClient", _client("dynamodb"))


def events() -> EventBridgeClient:
    return cast("EventBridgeClient", _client("events"))


def stepfunctions() -> SFNClient:
    return cast("SFNClient", _client("stepfunctions"))
