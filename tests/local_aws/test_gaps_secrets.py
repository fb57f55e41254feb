"""Secrets Manager: idempotent requests, resource policies, and the KMS key of a secret."""

import json
import time
import uuid
from typing import Any

import boto3
import pytest

from latchkey.aws.clients import botocore_session
from local_aws.tools.embedded_aws import Embedded
from tests.local_aws.gap_account import ROOT, Account, allow, error_code, policy

VIA_SECRETS = {"StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}}
SECRETS = allow("secretsmanager:*")


@pytest.fixture
def account(local: Embedded) -> Account:
    return Account(local)


@pytest.fixture
def secrets(account: Account) -> Any:
    return account.client("secretsmanager")


def test_create_secret_with_the_same_token_is_idempotent(account: Account, secrets: Any) -> None:
    token = str(uuid.uuid4())
    request = {"Name": account.unique("secret"), "SecretString": "a", "ClientRequestToken": token}
    first, second = secrets.create_secret(**request), secrets.create_secret(**request)
    assert (first["ARN"], first["VersionId"]) == (second["ARN"], second["VersionId"]) == (first["ARN"], token)
    assert error_code(secrets.create_secret, **request | {"SecretString": "b"}) == "ResourceExistsException"


@pytest.mark.parametrize("operation", ["put_secret_value", "update_secret"])
def test_put_secret_value_with_the_same_token_is_idempotent(account: Account, secrets: Any, operation: str) -> None:
    arn = secrets.create_secret(Name=account.unique("secret"), SecretString="a")["ARN"]
    request = {"SecretId": arn, "SecretString": "b", "ClientRequestToken": str(uuid.uuid4())}
    versions = {getattr(secrets, operation)(**request)["VersionId"] for _ in range(2)}
    assert versions == {request["ClientRequestToken"]}
    assert error_code(getattr(secrets, operation), **request | {"SecretString": "c"}) == "ResourceExistsException"
    assert len(secrets.describe_secret(SecretId=arn)["VersionIdsToStages"]) == 2


def test_staging_label_moves_to_the_new_version(account: Account, secrets: Any) -> None:
    arn = secrets.create_secret(Name=account.unique("secret"), SecretString="a")["ARN"]
    for value in ("b", "c"):
        secrets.put_secret_value(SecretId=arn, SecretString=value, VersionStages=["AWSPENDING"])
    stages = secrets.describe_secret(SecretId=arn)["VersionIdsToStages"].values()
    assert sorted(stages) == [["AWSCURRENT"], ["AWSPENDING"]]


def test_moved_current_label_leaves_the_previous_one_behind_and_can_be_moved_back(account: Account, secrets: Any) -> None:
    arn = secrets.create_secret(Name=account.unique("secret"), SecretString="a")["ARN"]
    (first,) = secrets.describe_secret(SecretId=arn)["VersionIdsToStages"]
    second = secrets.put_secret_value(SecretId=arn, SecretString="b", VersionStages=["AWSPENDING"])["VersionId"]
    move = {"SecretId": arn, "VersionStage": "AWSCURRENT"}
    assert error_code(secrets.update_secret_version_stage, **move, MoveToVersionId=second) == "InvalidParameterException"
    secrets.update_secret_version_stage(**move, MoveToVersionId=second, RemoveFromVersionId=first)
    stages = secrets.describe_secret(SecretId=arn)["VersionIdsToStages"]
    assert {version: set(labels) for version, labels in stages.items()} == {
        first: {"AWSPREVIOUS"},
        second: {"AWSCURRENT", "AWSPENDING"},
    }
    secrets.update_secret_version_stage(**move, MoveToVersionId=first, RemoveFromVersionId=second)
    secrets.update_secret_version_stage(SecretId=arn, VersionStage="AWSPENDING", RemoveFromVersionId=second)
    secrets.update_secret_version_stage(SecretId=arn, VersionStage="AWSPREVIOUS", RemoveFromVersionId=second)
    assert secrets.describe_secret(SecretId=arn)["VersionIdsToStages"] == {first: ["AWSCURRENT"]}


def test_canceled_rotation_leaves_its_function_behind(account: Account, secrets: Any) -> None:
    arn = secrets.create_secret(Name=account.unique("secret"), SecretString="a")["ARN"]
    function = "arn:aws:lambda:us-east-1:000000000000:function:rotate"
    secrets.rotate_secret(SecretId=arn, RotationLambdaARN=function, RotationRules={"AutomaticallyAfterDays": 30})
    assert secrets.describe_secret(SecretId=arn)["RotationEnabled"] is True
    secrets.cancel_rotate_secret(SecretId=arn)
    found = secrets.describe_secret(SecretId=arn)
    assert (found["RotationEnabled"], found["RotationLambdaARN"]) == (False, function)


def test_name_of_a_forcibly_deleted_secret_can_stay_taken(account: Account, secrets: Any) -> None:
    account.assume(forcedDeletionSeconds=2)
    name = account.unique("secret")
    secrets.create_secret(Name=name, SecretString="a")
    secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    assert error_code(secrets.describe_secret, SecretId=name) == "ResourceNotFoundException"
    assert error_code(secrets.create_secret, Name=name, SecretString="b") == "InvalidRequestException"
    account.local.client("secretsmanager", region_name="eu-west-1").create_secret(Name=name, SecretString="b")
    account.assume(forcedDeletionSeconds=0)
    secrets.create_secret(Name=name, SecretString="b")


def test_name_of_a_secret_scheduled_for_deletion_is_taken(account: Account, secrets: Any) -> None:
    name = account.unique("secret")
    secrets.create_secret(Name=name, SecretString="a")
    secrets.delete_secret(SecretId=name)
    assert error_code(secrets.create_secret, Name=name, SecretString="a") == "InvalidRequestException"


def statement(principal: Any, **more: Any) -> str:
    return policy(allow("secretsmanager:GetSecretValue") | {"Principal": principal} | more)


@pytest.mark.parametrize(
    "document",
    [
        statement("*"),
        statement({"AWS": "*"}),
        statement({"AWS": ["*"]}, Condition={"StringNotEquals": {"aws:PrincipalAccount": "111122223333"}}),
    ],
)
def test_public_policy_is_rejected_with_block_public_policy(account: Account, secrets: Any, document: str) -> None:
    arn = secrets.create_secret(Name=account.unique("secret"), SecretString="a")["ARN"]
    request = {"SecretId": arn, "ResourcePolicy": document}
    assert error_code(secrets.put_resource_policy, **request, BlockPublicPolicy=True) == "PublicPolicyException"
    secrets.put_resource_policy(**request)
    assert not secrets.validate_resource_policy(SecretId=arn, ResourcePolicy=document)["PolicyValidationPassed"]


@pytest.mark.parametrize(
    "document",
    [
        statement({"Service": "mediatailor.amazonaws.com"}),
        statement({"AWS": ROOT}),
        statement("*", Condition={"StringEquals": {"aws:PrincipalAccount": "000000000000"}}),
    ],
)
def test_policy_limited_by_a_condition_is_not_public(account: Account, secrets: Any, document: str) -> None:
    arn = secrets.create_secret(Name=account.unique("secret"), SecretString="a")["ARN"]
    secrets.put_resource_policy(SecretId=arn, ResourcePolicy=document, BlockPublicPolicy=True)


@pytest.mark.parametrize(
    "document",
    [
        "{}",
        "not JSON",
        policy({"Effect": "Allow", "Principal": "*"}),
        statement({"AWS": "arn:aws:iam::000000000000:role/Nobody"}),
        statement({"AWS": ROOT}, Sid="has spaces"),
    ],
)
def test_malformed_policy_is_rejected(account: Account, secrets: Any, document: str) -> None:
    arn = secrets.create_secret(Name=account.unique("secret"), SecretString="a")["ARN"]
    code = error_code(secrets.put_resource_policy, SecretId=arn, ResourcePolicy=document)
    assert code == "MalformedPolicyDocumentException"


def test_secret_can_have_another_policy(account: Account, secrets: Any) -> None:
    arn = secrets.create_secret(Name=account.unique("secret"), SecretString="a")["ARN"]
    reader = account.role()
    client = reader.client("secretsmanager")
    listing = boto3.session.Session("test", "test", region_name="us-east-1", botocore_session=botocore_session())
    lists: Any = listing.client("secretsmanager", endpoint_url=account.local.url)
    assert lists.list_resource_policies(SecretId=arn)["ResourcePolicies"] == []
    assert error_code(client.get_secret_value, SecretId=arn) == "AccessDeniedException"

    document = json.loads(statement({"AWS": reader.arn}, Resource="*"))
    account.local.control("PUT", "secret-policies", {"secret": arn, "name": "another", "policy": document})
    secrets.put_resource_policy(SecretId=arn, ResourcePolicy=statement({"AWS": ROOT}))

    names = [named["PolicyName"] for named in lists.list_resource_policies(SecretId=arn)["ResourcePolicies"]]
    assert names == ["default", "another"]
    found = lists.get_resource_policy(SecretId=arn, PolicyName="another")["ResourcePolicy"]
    assert reader.arn in found
    assert client.get_secret_value(SecretId=arn)["SecretString"] == "a"
    assert error_code(lists.get_resource_policy, SecretId=arn, PolicyName="missing") == "ResourceNotFoundException"


@pytest.mark.parametrize("name", ["default", "another"])
def test_only_another_policy_of_an_existing_secret_can_be_attached(account: Account, name: str) -> None:
    with pytest.raises(AssertionError, match="400"):
        account.local.control("PUT", "secret-policies", {"secret": "missing", "name": name, "policy": {}})


def test_policy_can_require_block_public_policy(account: Account, secrets: Any) -> None:
    arn = secrets.create_secret(Name=account.unique("secret"), SecretString="a")["ARN"]
    must_block = {"Bool": {"secretsmanager:BlockPublicPolicy": "true"}}
    bound = account.role(allow("secretsmanager:PutResourcePolicy", **must_block)).client("secretsmanager")
    request = {"SecretId": arn, "ResourcePolicy": statement({"AWS": ROOT})}
    assert error_code(bound.put_resource_policy, **request) == "AccessDeniedException"
    bound.put_resource_policy(**request, BlockPublicPolicy=True)


def test_reading_requires_decrypt_through_secrets_manager(account: Account, secrets: Any) -> None:
    key = account.key()
    arn = secrets.create_secret(Name=account.unique("secret"), SecretString="a", KmsKeyId=key)["ARN"]
    without = account.role(SECRETS).client("secretsmanager")
    elsewhere = account.role(
        SECRETS, allow("kms:Decrypt", key, StringEquals={"kms:EncryptionContext:SecretARN": "another"})
    ).client("secretsmanager")
    entitled = account.role(
        SECRETS,
        allow("kms:Decrypt", key, **VIA_SECRETS | {"StringLike": {"kms:EncryptionContext:SecretARN": f"{arn}*"}}),
    ).client("secretsmanager")
    assert error_code(without.get_secret_value, SecretId=arn) == "AccessDeniedException"
    assert error_code(elsewhere.get_secret_value, SecretId=arn) == "AccessDeniedException"
    assert entitled.get_secret_value(SecretId=arn)["SecretString"] == "a"


def test_key_policy_can_allow_a_reader(account: Account, secrets: Any) -> None:
    reader = account.role(SECRETS)
    admitted = {"Principal": {"AWS": reader.arn}} | allow("kms:Decrypt", **VIA_SECRETS)
    arn = secrets.create_secret(Name=account.unique("secret"), SecretString="a", KmsKeyId=account.key(admitted))["ARN"]
    assert reader.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"] == "a"


def test_grant_allows_a_reader_for_the_secret_in_its_constraint(account: Account, secrets: Any) -> None:
    key, reader = account.key(), account.role(SECRETS)
    named, other = (
        secrets.create_secret(Name=account.unique("secret"), SecretString="a", KmsKeyId=key)["ARN"] for _ in range(2)
    )
    account.client("kms").create_grant(
        KeyId=key,
        GranteePrincipal=reader.arn,
        Operations=["Decrypt"],
        Constraints={"EncryptionContextSubset": {"SecretARN": named}},
    )
    client = reader.client("secretsmanager")
    assert client.get_secret_value(SecretId=named)["SecretString"] == "a"
    assert error_code(client.get_secret_value, SecretId=other) == "AccessDeniedException"


def test_default_key_requires_no_permission_and_is_not_described(account: Account, secrets: Any) -> None:
    alias = "alias/aws/secretsmanager"
    arn = secrets.create_secret(Name=account.unique("secret"), SecretString="a", KmsKeyId=alias)["ARN"]
    reader = account.role(SECRETS).client("secretsmanager")
    assert reader.get_secret_value(SecretId=arn)["SecretString"] == "a"
    assert "KmsKeyId" not in secrets.describe_secret(SecretId=arn)


def test_writing_requires_a_data_key_and_a_denied_write_creates_nothing(account: Account, secrets: Any) -> None:
    key, name = account.key(), account.unique("secret")
    request = {"Name": name, "SecretString": "a", "KmsKeyId": key}
    reader = account.role(SECRETS, allow("kms:Decrypt", key)).client("secretsmanager")
    writer = account.role(SECRETS, allow(["kms:Decrypt", "kms:GenerateDataKey"], key)).client("secretsmanager")
    assert error_code(reader.create_secret, **request) == "AccessDeniedException"
    assert error_code(secrets.describe_secret, SecretId=name) == "ResourceNotFoundException"
    writer.create_secret(**request)
    assert error_code(reader.put_secret_value, SecretId=name, SecretString="b") == "AccessDeniedException"
    writer.put_secret_value(SecretId=name, SecretString="b")


@pytest.mark.parametrize(("form", "is_allowed"), [("SecretVersionId", True), ("SecretARN", False)])
def test_new_secret_needs_the_key_with_the_context_of_the_check(account: Account, form: str, is_allowed: bool) -> None:
    account.assume(keyValidation=form)
    key, context = account.key(), "kms:EncryptionContext:SecretARN"
    ours = {context: "arn:aws:secretsmanager:*:*:secret:ours-*"}
    using = ["kms:GenerateDataKey", "kms:Decrypt"]
    narrow = account.role(allow("secretsmanager:*"), allow(using, StringLike=ours)).client("secretsmanager")
    checked = {context: [*ours.values(), "RequestToValidateKeyAccess"]}
    wide = account.role(allow("secretsmanager:*"), allow(using, StringLike=checked)).client("secretsmanager")
    wide.create_secret(Name=account.unique("ours"), SecretString="value", KmsKeyId=key)
    request = {"Name": account.unique("ours"), "SecretString": "value", "KmsKeyId": key}
    if is_allowed:
        narrow.create_secret(**request)
    else:
        assert error_code(narrow.create_secret, **request) == "AccessDeniedException"


def test_disabled_key_prevents_reading_and_writing(account: Account, secrets: Any) -> None:
    key, kms = account.key(), account.client("kms")
    arn = secrets.create_secret(Name=account.unique("secret"), SecretString="a", KmsKeyId=key)["ARN"]
    kms.disable_key(KeyId=key)
    assert error_code(secrets.get_secret_value, SecretId=arn) == "DecryptionFailure"
    assert error_code(secrets.put_secret_value, SecretId=arn, SecretString="b") == "EncryptionFailure"
    kms.enable_key(KeyId=key)
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == "a"


def test_asymmetric_key_is_rejected(account: Account, secrets: Any) -> None:
    key = account.key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    request = {"Name": account.unique("secret"), "SecretString": "a", "KmsKeyId": key}
    assert error_code(secrets.create_secret, **request) == "EncryptionFailure"


def test_reencrypted_version_can_be_decrypted_with_either_key(account: Account, secrets: Any) -> None:
    old, new = account.key(), account.key()
    arn = secrets.create_secret(Name=account.unique("secret"), SecretString="a", KmsKeyId=old)["ARN"]
    by_old, by_new = (account.role(SECRETS, allow("kms:Decrypt", key)).client("secretsmanager") for key in (old, new))
    pair_only = account.role(SECRETS, allow(["kms:Decrypt", "kms:GenerateDataKey"])).client("secretsmanager")
    assert error_code(pair_only.update_secret, SecretId=arn, KmsKeyId=new) == "AccessDeniedException"
    secrets.update_secret(SecretId=arn, KmsKeyId=new)
    assert [by.get_secret_value(SecretId=arn)["SecretString"] for by in (by_old, by_new)] == ["a", "a"]
    secrets.put_secret_value(SecretId=arn, SecretString="b")
    assert by_new.get_secret_value(SecretId=arn)["SecretString"] == "b"
    assert error_code(by_old.get_secret_value, SecretId=arn) == "AccessDeniedException"


def test_versions_are_not_reencrypted_without_decrypt_on_the_old_key(account: Account, secrets: Any) -> None:
    old, new = account.key(), account.key()
    arn = secrets.create_secret(Name=account.unique("secret"), SecretString="a", KmsKeyId=old)["ARN"]
    mover = account.role(SECRETS, allow("kms:*", new)).client("secretsmanager")
    mover.update_secret(SecretId=arn, KmsKeyId=new)
    assert error_code(mover.get_secret_value, SecretId=arn) == "AccessDeniedException"
    assert secrets.describe_secret(SecretId=arn)["KmsKeyId"] == new


def test_versions_are_listed_with_their_keys(account: Account, secrets: Any) -> None:
    def listed(arn: str) -> list[list[str]]:
        return [version["KmsKeyIds"] for version in secrets.list_secret_version_ids(SecretId=arn)["Versions"]]

    old, new = account.key(), account.key()
    followed, stayed, default = (
        secrets.create_secret(Name=account.unique("secret"), SecretString="a", **under)["ARN"]
        for under in ({"KmsKeyId": old}, {"KmsKeyId": old}, {})
    )
    secrets.update_secret(SecretId=followed, KmsKeyId=new)
    account.role(SECRETS, allow("kms:*", new)).client("secretsmanager").update_secret(SecretId=stayed, KmsKeyId=new)

    assert listed(followed) == [[new, old]]
    assert listed(stayed) == [[old]]
    assert listed(default) == [["DefaultEncryptionKey"]]


def test_tagging_api_includes_secrets(account: Account, secrets: Any) -> None:
    tag = {"Key": "team", "Value": account.unique("team")}
    arn = secrets.create_secret(Name=account.unique("secret"), SecretString="a", Tags=[tag])["ARN"]
    filters = [{"Key": "team", "Values": [tag["Value"]]}]
    found = account.client("resourcegroupstaggingapi").get_resources(TagFilters=filters)["ResourceTagMappingList"]
    assert [item["ResourceARN"] for item in found] == [arn]


def test_secret_is_gone_after_its_recovery_window(account: Account, secrets: Any) -> None:
    name = account.unique("secret")
    arn = secrets.create_secret(Name=name, SecretString="a")["ARN"]
    secrets.delete_secret(SecretId=arn, RecoveryWindowInDays=7)
    account.assume(clockSeconds=time.time() + 6 * 86400)
    assert secrets.describe_secret(SecretId=arn)["DeletedDate"]
    account.assume(clockSeconds=time.time() + 8 * 86400)
    assert error_code(secrets.describe_secret, SecretId=arn) == "ResourceNotFoundException"
    assert error_code(secrets.restore_secret, SecretId=arn) == "ResourceNotFoundException"
    account.assume(clockSeconds=None)
    assert secrets.create_secret(Name=name, SecretString="b")["Name"] == name
