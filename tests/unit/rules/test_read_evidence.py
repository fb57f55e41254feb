"""Reading the evidence for the rules: what is read, what is not, and what a denied read means."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from latchkey.aws.clients import Clients
from latchkey.onboarding.rules.bounds import Bounds
from latchkey.onboarding.rules.read_evidence import EvidenceReader
from latchkey.registry import Registry
from latchkey.settings import Settings
from tests.unit.rules.samples import ADOBE
from tests.unit.samples import ACCOUNT, KEY_ARN, REGION, SETTINGS, desired, role

METADATA = {
    "KeyId": "1234abcd-12ab-34cd-56ef-1234567890ab",
    "Arn": KEY_ARN,
    "KeyState": "Enabled",
    "KeySpec": "SYMMETRIC_DEFAULT",
    "KeyUsage": "ENCRYPT_DECRYPT",
    "KeyManager": "CUSTOMER",
    "CreationDate": datetime(2026, 11, 22, tzinfo=UTC),
}
BY_ARN = {"key.arn": KEY_ARN, "resource.configure": False}


class StubbedAws:
    """Clients that answer only the expected calls; any other call fails the test."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {name: boto3.client(name) for name in ("kms", "secretsmanager", "iam")}
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        for stub in self.stubs.values():
            stub.activate()

    def reader(self, registry: Registry, settings: Settings = SETTINGS) -> EvidenceReader:
        clients = Clients(self.clients["kms"], self.clients["secretsmanager"], self.clients["iam"], lambda _: None)
        return EvidenceReader(Bounds(settings), registry, clients, lambda _: clients.secretsmanager)


@pytest.fixture
def aws() -> Iterator[StubbedAws]:
    stubbed = StubbedAws()
    yield stubbed
    for stub in stubbed.stubs.values():
        stub.assert_no_pending_responses()


def no_secret(aws: StubbedAws) -> None:
    aws.stubs["secretsmanager"].add_client_error("describe_secret", "ResourceNotFoundException", http_status_code=400)


def a_key(aws: StubbedAws, *tags: dict[str, str]) -> None:
    aws.stubs["kms"].add_response("describe_key", {"KeyMetadata": METADATA})
    aws.stubs["kms"].add_response("list_resource_tags", {"Tags": [*tags], "Truncated": False})


def test_a_key_of_another_account_is_not_described(aws: StubbedAws, registry: Registry) -> None:
    no_secret(aws)
    foreign = KEY_ARN.replace(ACCOUNT, "444455556666")

    evidence = aws.reader(registry).read_request(desired(BY_ARN | {"key.arn": foreign}))

    assert (evidence.key.key, evidence.key.hidden) == (None, False)


def test_the_policy_of_a_key_without_consent_is_not_read(aws: StubbedAws, registry: Registry) -> None:
    no_secret(aws)
    a_key(aws)

    evidence = aws.reader(registry).read_request(desired(BY_ARN))

    assert evidence.key.key
    assert evidence.key.policy is None


@pytest.mark.parametrize("operation", ["describe_key", "get_key_policy"])
def test_a_read_that_kms_denies_hides_the_key(aws: StubbedAws, registry: Registry, operation: str) -> None:
    no_secret(aws)
    registry.resources.refer(KEY_ARN, "mediatailor/sourceLocation/news-origin")
    if operation == "get_key_policy":
        a_key(aws, {"TagKey": "latchkey:managed-by", "TagValue": "latchkey"})
    aws.stubs["kms"].add_client_error(operation, "AccessDeniedException", http_status_code=400)

    evidence = aws.reader(registry).read_request(desired(BY_ARN))

    assert evidence.key.hidden
    assert (evidence.key.key is not None) is (operation == "get_key_policy")


def test_a_simulation_that_iam_denies_does_not_hide_the_key(aws: StubbedAws, registry: Registry) -> None:
    aws.stubs["kms"].add_client_error("describe_key", "NotFoundException", http_status_code=400)
    aws.stubs["iam"].add_client_error("simulate_principal_policy", "AccessDenied", http_status_code=403)

    with pytest.raises(ClientError, match="SimulatePrincipalPolicy"):
        aws.reader(registry).read_request(desired(kind=ADOBE))


def test_principals_that_the_stack_does_not_trust_are_not_looked_up(aws: StubbedAws, registry: Registry) -> None:
    no_secret(aws)
    aws.stubs["kms"].add_client_error("describe_key", "NotFoundException", http_status_code=400)
    named = {"managementRoles": [role("Other")], "resource.configure": False}

    assert aws.reader(registry).read_request(desired(named)).principals == {}


def test_a_secret_of_another_region_is_not_described(aws: StubbedAws, registry: Registry) -> None:
    aws.stubs["kms"].add_client_error("describe_key", "NotFoundException", http_status_code=400)
    elsewhere = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:origin/shared-QwErTy"
    assert REGION not in elsewhere
    request = desired({"secret.value.existing": {"secretArn": elsewhere}, "resource.configure": False})

    assert aws.reader(registry).read_request(request).secret is None
