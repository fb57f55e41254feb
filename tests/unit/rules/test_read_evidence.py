"""Reading the evidence for the rules: what is read, what is not, and what a denied read means."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from latchkey.access.bounds import Bounds
from latchkey.aws import clients
from latchkey.aws.clients import Clients
from latchkey.onboarding.rules.read_evidence import EvidenceReader
from latchkey.registry import Registry
from latchkey.settings import Settings
from tests.unit.rules.samples import ADOBE
from tests.unit.samples import ACCOUNT, EXISTING_ARN, KEY_ARN, REGION, SETTINGS, desired, role

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
        session = clients._session()
        self.clients: dict[str, Any] = {name: session.client(name) for name in ("kms", "secretsmanager", "iam")}
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        for stub in self.stubs.values():
            stub.activate()

    def reader(self, registry: Registry, settings: Settings = SETTINGS) -> EvidenceReader:
        used = Clients(self.clients["kms"], self.clients["secretsmanager"], self.clients["iam"], lambda _: None)
        return EvidenceReader(Bounds(settings), registry, used, lambda _: used.secretsmanager)


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


EXISTING = {"secret.value.existing": {"secretArn": EXISTING_ARN}, "resource.configure": False}
BY_POLICY = "User is not authorized to perform this action with an explicit deny in a resource-based policy"
SECRET = {
    "ARN": EXISTING_ARN,
    "Name": "origin/shared",
    "KmsKeyId": KEY_ARN,
    "VersionIdsToStages": {"0123456789abcdef0123456789abcdef": ["AWSCURRENT"]},
    "PrimaryRegion": "us-east-1",
}


def no_key(aws: StubbedAws) -> None:
    aws.stubs["kms"].add_client_error("describe_key", "NotFoundException", http_status_code=400)


def no_policy(aws: StubbedAws) -> None:
    aws.stubs["secretsmanager"].add_response("get_resource_policy", {"ARN": EXISTING_ARN})
    aws.stubs["secretsmanager"].add_response("list_resource_policies", {"ResourcePolicies": []})


def denied(aws: StubbedAws, operation: str, message: str = "") -> None:
    aws.stubs["secretsmanager"].add_client_error(operation, "AccessDeniedException", message, http_status_code=400)


def test_a_secret_that_aws_denies_reading_is_hidden(aws: StubbedAws, registry: Registry) -> None:
    denied(aws, "describe_secret")
    no_key(aws)

    evidence = aws.reader(registry).read_request(desired(EXISTING))

    assert (evidence.secret, evidence.hidden_secret) == (None, True)


def test_a_policy_of_a_secret_that_aws_denies_reading_hides_the_secret(aws: StubbedAws, registry: Registry) -> None:
    aws.stubs["secretsmanager"].add_response("describe_secret", SECRET)
    no_key(aws)
    denied(aws, "get_resource_policy")

    evidence = aws.reader(registry).read_request(desired(EXISTING))

    assert (evidence.secret, evidence.hidden_secret) == (None, True)


def test_a_denied_look_up_of_a_new_name_hides_a_secret_only_by_its_policy(aws: StubbedAws, registry: Registry) -> None:
    handed_off = desired({"resource.configure": False})
    denied(aws, "describe_secret", BY_POLICY)
    no_key(aws)
    assert aws.reader(registry).read_request(handed_off).hidden_secret

    denied(aws, "describe_secret", "no identity-based policy allows the action")
    with pytest.raises(ClientError, match="DescribeSecret"):
        aws.reader(registry).read_request(handed_off)


@pytest.mark.parametrize("manager", ["AWS", "CUSTOMER"])
def test_the_key_of_a_secret_is_read_if_it_is_another_one(aws: StubbedAws, registry: Registry, manager: str) -> None:
    aws.stubs["secretsmanager"].add_response("describe_secret", SECRET)
    no_key(aws)
    no_policy(aws)
    aws.stubs["kms"].add_response("describe_key", {"KeyMetadata": METADATA | {"KeyManager": manager}})
    if manager == "CUSTOMER":
        aws.stubs["kms"].add_response("list_resource_tags", {"Tags": [], "Truncated": False})

    found = aws.reader(registry).read_request(desired(EXISTING)).secret

    assert found
    assert (found.key_arn, found.under_default_key) == (KEY_ARN, manager == "AWS")
    assert (found.secret.has_value, found.secret.replica_of) == (True, "us-east-1")


def test_a_key_of_a_secret_that_kms_does_not_describe_keeps_its_identifier(aws: StubbedAws, registry: Registry) -> None:
    aws.stubs["secretsmanager"].add_response("describe_secret", SECRET)
    no_key(aws)
    no_policy(aws)
    aws.stubs["kms"].add_client_error("describe_key", "AccessDeniedException", http_status_code=400)

    found = aws.reader(registry).read_request(desired(EXISTING)).secret

    assert found
    assert (found.key, found.key_arn, found.under_default_key) == (None, KEY_ARN, False)


def test_an_alias_of_the_default_key_is_no_key(aws: StubbedAws, registry: Registry) -> None:
    named = SECRET | {"KmsKeyId": f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/aws/secretsmanager"}
    aws.stubs["secretsmanager"].add_response("describe_secret", named)
    no_key(aws)
    no_policy(aws)

    found = aws.reader(registry).read_request(desired(EXISTING)).secret

    assert found
    assert (found.key_arn, found.under_default_key) == (None, True)


def test_a_source_that_aws_denies_reading_is_hidden(aws: StubbedAws, registry: Registry) -> None:
    copied = {"secret.value.copyFrom": {"secretArn": EXISTING_ARN}, "resource.configure": False}
    no_secret(aws)
    no_key(aws)
    denied(aws, "describe_secret")

    source = aws.reader(registry).read_request(desired(copied)).source

    assert source
    assert (source.secret, source.hidden) == (None, True)
