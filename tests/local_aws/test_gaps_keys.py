"""KMS: permissions on keys and aliases, key policies and key states."""

import json
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from tests.local_aws.gap_account import ROOT, Account, allow, error_code, policy, trust

TAGS = [{"TagKey": "latchkey:managed-by", "TagValue": "latchkey"}]
TAGGED = {"StringEquals": {"aws:ResourceTag/latchkey:managed-by": "latchkey"}}
MALFORMED = "MalformedPolicyDocumentException"


@pytest.fixture
def account(local: Embedded) -> Account:
    return Account(local)


@pytest.fixture
def kms(account: Account) -> Any:
    return account.client("kms")


def key_statement(principal: Any, action: str = "kms:*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*"} | more


def test_create_key_with_tags_requires_tag_resource(account: Account) -> None:
    creator = account.role(allow("kms:CreateKey")).client("kms")
    tagger = account.role(allow(["kms:CreateKey", "kms:TagResource"])).client("kms")
    assert error_code(creator.create_key, Tags=TAGS) == "AccessDeniedException"
    creator.create_key()
    tagger.create_key(Tags=TAGS)


def test_policy_can_exclude_keys_that_have_an_alias(account: Account, kms: Any) -> None:
    tagger = account.role(allow("kms:TagResource", Null={"kms:ResourceAliases": "true"})).client("kms")
    bare, used = account.key(), account.key()
    kms.create_alias(AliasName=f"alias/{account.unique('used')}", TargetKeyId=used)

    tagger.tag_resource(KeyId=bare, Tags=TAGS)
    assert error_code(tagger.tag_resource, KeyId=used, Tags=TAGS) == "AccessDeniedException"


def test_alias_operations_require_permission_on_alias_and_key(account: Account) -> None:
    ours, other = account.key(Tags=TAGS), account.key()
    on_alias = allow("kms:*Alias", f"arn:aws:kms:*:{ACCOUNT}:alias/latchkey/*")
    both = account.role(on_alias, allow("kms:*Alias", f"arn:aws:kms:*:{ACCOUNT}:key/*", **TAGGED)).client("kms")
    alias_only = account.role(on_alias).client("kms")
    name = f"alias/latchkey/{account.unique('alias')}"
    assert error_code(alias_only.create_alias, AliasName=name, TargetKeyId=ours) == "AccessDeniedException"
    assert error_code(both.create_alias, AliasName=name, TargetKeyId=other) == "AccessDeniedException"
    assert error_code(both.create_alias, AliasName="alias/else", TargetKeyId=ours) == "AccessDeniedException"
    both.create_alias(AliasName=name, TargetKeyId=ours)
    assert error_code(both.update_alias, AliasName=name, TargetKeyId=other) == "AccessDeniedException"
    both.delete_alias(AliasName=name)


def test_key_policy_does_not_apply_to_the_alias(account: Account, kms: Any) -> None:
    role, name = account.role(), f"alias/{account.unique('alias')}"
    kms.create_alias(AliasName=name, TargetKeyId=account.key(allow("kms:*") | {"Principal": {"AWS": role.arn}}))
    assert error_code(role.client("kms").delete_alias, AliasName=name) == "AccessDeniedException"


def test_operation_by_alias_is_authorized_against_the_key(account: Account, kms: Any) -> None:
    key, name = account.key(), f"alias/{account.unique('alias')}"
    kms.create_alias(AliasName=name, TargetKeyId=key)
    reader = account.role(allow("kms:DescribeKey", key)).client("kms")
    assert reader.describe_key(KeyId=name)["KeyMetadata"]["Arn"] == key


def test_tag_lag_assumption(account: Account, kms: Any) -> None:
    key = account.key()
    holder = account.role(allow("kms:DisableKey", **TAGGED)).client("kms")
    account.assume(tagLagSeconds=600)
    kms.tag_resource(KeyId=key, Tags=TAGS)
    assert error_code(holder.disable_key, KeyId=key) == "AccessDeniedException"
    account.assume(tagLagSeconds=0)
    holder.disable_key(KeyId=key)


def test_policy_can_limit_the_deletion_waiting_period(account: Account) -> None:
    bounds = {"NumericGreaterThanEquals": {"kms:ScheduleKeyDeletionPendingWindowInDays": "30"}}
    bound = account.role(allow("kms:ScheduleKeyDeletion", **bounds)).client("kms")
    key = account.key()
    assert error_code(bound.schedule_key_deletion, KeyId=key, PendingWindowInDays=7) == "AccessDeniedException"
    bound.schedule_key_deletion(KeyId=key, PendingWindowInDays=30)


def test_key_policy_that_locks_the_caller_out_is_rejected(account: Account, kms: Any) -> None:
    role = account.role(allow("kms:*"))
    by_role, alone = role.client("kms"), policy(key_statement({"AWS": role.arn}))
    reading_only = policy(key_statement({"AWS": ROOT}, "kms:Describe*"))
    assert error_code(kms.create_key, Policy=alone) == MALFORMED
    assert error_code(by_role.create_key, Policy=reading_only) == MALFORMED
    key = by_role.create_key(Policy=alone)["KeyMetadata"]["KeyId"]
    assert error_code(by_role.put_key_policy, KeyId=key, Policy=reading_only) == MALFORMED
    assert by_role.get_key_policy(KeyId=key)["Policy"] == alone
    by_role.put_key_policy(KeyId=key, Policy=reading_only, BypassPolicyLockoutSafetyCheck=True)


@pytest.mark.parametrize("counts", [True, False])
def test_lockout_check_counts_tag_conditions_if_assumed(account: Account, counts: bool) -> None:
    account.assume(lockoutCountsTagConditions=counts)
    ours = {"aws:ResourceTag/team": "sports"}
    role = account.role(allow("kms:CreateKey"), allow("kms:TagResource"), allow("kms:PutKeyPolicy", StringEquals=ours))
    kms, delegating = role.client("kms"), policy(key_statement({"AWS": ROOT}))
    tagged = {"Tags": [{"TagKey": "team", "TagValue": "sports"}]}
    naming = policy(key_statement({"AWS": ROOT}), key_statement({"AWS": role.arn}, "kms:PutKeyPolicy"))

    key = kms.create_key(Policy=naming, **tagged)["KeyMetadata"]["KeyId"]
    kms.put_key_policy(KeyId=key, Policy=naming)

    if counts:
        kms.create_key(Policy=delegating, **tagged)
        kms.put_key_policy(KeyId=key, Policy=delegating)
    else:
        assert error_code(kms.create_key, Policy=delegating, **tagged) == MALFORMED
        assert error_code(kms.put_key_policy, KeyId=key, Policy=delegating) == MALFORMED


def test_key_policy_that_only_delegates_locks_out_a_caller_without_permission(account: Account) -> None:
    kms = account.role(allow("kms:CreateKey")).client("kms")
    assert error_code(kms.create_key, Policy=policy(key_statement({"AWS": ROOT}))) == MALFORMED


@pytest.mark.parametrize(
    "principal", [f"arn:aws:iam::{ACCOUNT}:role/Nobody", f"arn:aws:iam::{ACCOUNT}:group/All", "AROAGONE", "nonsense"]
)
def test_key_policy_with_an_unknown_principal_is_rejected(account: Account, kms: Any, principal: str) -> None:
    document = policy(key_statement({"AWS": ROOT}), key_statement({"AWS": [ROOT, principal]}))
    assert error_code(kms.put_key_policy, KeyId=account.key(), Policy=document) == MALFORMED
    assert error_code(kms.create_key, Policy=document) == MALFORMED


def test_services_other_accounts_and_existing_roles_are_valid_principals(account: Account) -> None:
    account.key(
        key_statement({"Service": "mediatailor.amazonaws.com"}),
        key_statement({"AWS": ["arn:aws:iam::111122223333:role/Partner", "111122223333", account.role().arn]}),
    )


def test_key_policy_over_32_kilobytes_is_rejected(account: Account, kms: Any) -> None:
    document = policy(key_statement({"AWS": ROOT}, Sid="a" * 32_768))
    assert error_code(kms.put_key_policy, KeyId=account.key(), Policy=document) == "LimitExceededException"
    assert error_code(kms.put_key_policy, KeyId=account.key(), Policy="{}") == MALFORMED


def test_deleted_role_is_replaced_by_its_id_in_policies(account: Account, kms: Any) -> None:
    iam, role = account.client("iam"), account.role()
    kept = {"ArnEquals": {"aws:PrincipalArn": role.arn}}
    key = account.key(
        key_statement({"AWS": role.arn}, "kms:DescribeKey"), key_statement({"AWS": ROOT}, "kms:Encrypt", Condition=kept)
    )
    assert role.client("kms").describe_key(KeyId=key)
    role_id = iam.get_role(RoleName=role.name)["Role"]["RoleId"]
    iam.delete_role_policy(RoleName=role.name, PolicyName="own")
    iam.delete_role(RoleName=role.name)
    iam.create_role(RoleName=role.name, AssumeRolePolicyDocument=trust({"AWS": ROOT}))
    admitted = json.loads(kms.get_key_policy(KeyId=key)["Policy"])["Statement"][1]["Principal"]["AWS"]
    assert admitted == role_id
    condition = json.loads(kms.get_key_policy(KeyId=key)["Policy"])["Statement"][2]["Condition"]
    assert role.arn in json.dumps(condition)
    assert error_code(role.client("kms").describe_key, KeyId=key) == "AccessDeniedException"


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("enable_key", {}),
        ("disable_key", {}),
        ("schedule_key_deletion", {}),
        ("tag_resource", {"Tags": TAGS}),
        ("enable_key_rotation", {}),
    ],
)
def test_key_pending_deletion_cannot_be_changed(account: Account, kms: Any, operation: str, members: dict[str, Any]) -> None:
    key = account.key()
    assert error_code(kms.cancel_key_deletion, KeyId=key) == "KMSInvalidStateException"
    kms.schedule_key_deletion(KeyId=key)
    assert error_code(getattr(kms, operation), KeyId=key, **members) == "KMSInvalidStateException"
    kms.put_key_policy(KeyId=key, Policy=policy(key_statement({"AWS": ROOT})))
    kms.cancel_key_deletion(KeyId=key)


def test_pending_key_cannot_get_an_alias_and_disabled_key_no_rotation(account: Account, kms: Any) -> None:
    pending, disabled = account.key(), account.key()
    kms.schedule_key_deletion(KeyId=pending)
    kms.disable_key(KeyId=disabled)
    assert error_code(kms.create_alias, AliasName="alias/late", TargetKeyId=pending) == "KMSInvalidStateException"
    assert error_code(kms.enable_key_rotation, KeyId=disabled) == "DisabledException"


@pytest.mark.parametrize("kind", [{"Origin": "EXTERNAL"}, {"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"}], ids=str)
def test_imported_and_asymmetric_keys_have_no_rotation_status(kms: Any, kind: dict[str, str]) -> None:
    key = kms.create_key(**kind)["KeyMetadata"]["Arn"]

    for call in (kms.get_key_rotation_status, kms.enable_key_rotation):
        assert error_code(call, KeyId=key) == "UnsupportedOperationException"


@pytest.mark.parametrize(
    "flaw", [{"Resource": "arn:aws:kms:us-east-1:000000000000:key/1"}, {"Resource": []}, {"Action": []}], ids=str
)
def test_key_policy_with_an_ineffective_statement_cannot_be_written_again(
    account: Account, kms: Any, flaw: dict[str, Any]
) -> None:
    old = policy(key_statement({"AWS": ROOT}), key_statement({"AWS": ROOT}, "kms:DescribeKey") | flaw)
    key = kms.create_key(Policy=old)["KeyMetadata"]["KeyId"]
    assert error_code(kms.put_key_policy, KeyId=key, Policy=old) == MALFORMED
    kms.put_key_policy(KeyId=key, Policy=policy(key_statement({"AWS": ROOT}, Resource=["*"])))


def test_default_key_of_secrets_manager_is_an_aws_managed_key(account: Account, kms: Any) -> None:
    found = kms.describe_key(KeyId="alias/aws/secretsmanager")["KeyMetadata"]
    assert found["KeyManager"] == "AWS"
    assert kms.describe_key(KeyId=found["Arn"])["KeyMetadata"] == found
    assert kms.describe_key(KeyId=account.key())["KeyMetadata"]["KeyManager"] == "CUSTOMER"

    secrets = account.client("secretsmanager")
    made = secrets.create_secret(Name=account.unique("secret"), SecretString="value", KmsKeyId=found["Arn"])
    assert secrets.describe_secret(SecretId=made["ARN"])["KmsKeyId"] == found["Arn"]
    assert secrets.list_secret_version_ids(SecretId=made["ARN"])["Versions"][0]["KmsKeyIds"] == ["DefaultEncryptionKey"]
    reader = account.role(allow("secretsmanager:GetSecretValue")).client("secretsmanager")
    assert reader.get_secret_value(SecretId=made["ARN"])["SecretString"] == "value"


def test_deny_for_all_but_some_principals_spares_only_those_and_no_role_with_a_boundary(account: Account) -> None:
    everything = account.client("iam").create_policy(PolicyName=account.unique("all"), PolicyDocument=policy(allow("*")))
    spared, other = account.role(allow("kms:*")), account.role(allow("kms:*"))
    bounded = account.role(allow("kms:*"), boundary=everything["Policy"]["Arn"])
    denial = {
        "Effect": "Deny",
        "NotPrincipal": {"AWS": [spared.arn, bounded.arn]},
        "Action": "kms:DescribeKey",
        "Resource": "*",
    }
    key = account.key(denial)

    assert spared.client("kms").describe_key(KeyId=key)
    assert error_code(other.client("kms").describe_key, KeyId=key) == "AccessDeniedException"
    assert error_code(bounded.client("kms").describe_key, KeyId=key) == "AccessDeniedException"


def test_every_call_counts_as_encrypted(account: Account) -> None:
    role, insecure = account.role(allow("kms:*")), {"Bool": {"aws:SecureTransport": "false"}}
    denial = {"Effect": "Deny", "Principal": "*", "Action": "kms:DescribeKey", "Resource": "*", "Condition": insecure}
    assert role.client("kms").describe_key(KeyId=account.key(denial))


def test_role_is_no_aws_service_in_a_condition(account: Account) -> None:
    role = account.role(allow("kms:*"))
    condition = {"Bool": {"aws:PrincipalIsAWSService": "false"}}
    denial = {"Effect": "Deny", "Principal": "*", "Action": "kms:DescribeKey", "Resource": "*", "Condition": condition}
    assert error_code(role.client("kms").describe_key, KeyId=account.key(denial)) == "AccessDeniedException"
