"""Each kind of finding, created by hand in the account: it is found with its kind and its reason, and as one finding."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.access.findings import CATALOG, FindingKind
from latchkey.policies.reader_roles import POLICY_NAME
from latchkey.registry import registry
from tests.functions.account import ACCOUNT, ADOPT, ROOT, Account
from tests.functions.clean_up_steps import GRANT, grants, onboarded, token_configuration
from tests.functions.fault_injection import set_rotation_period
from tests.functions.onboarding_requests import NAME, PARTNER, Run, role_name_of
from tests.functions.onboarding_steps import Onboarding, policy

KIND = FindingKind
ADOBE, ROLE, TAILOR = "adobe-experience-platform", "mediapackage", "mediatailor"
SYSTEMS = (TAILOR, ROLE, "mediapackage-vod", "mediapackagev2", "mediaconnect", ADOBE)
WHOLE = {"Sid": "Whole", "Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
READ = {"Sid": "Theirs", "Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
OF_OTHERS = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
ANYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
STRANGER = f"arn:aws:iam::{ACCOUNT}:role/Stranger"
DELETED = "AROADBQP57FF2AEXAMPLE"
# No read of an observation shows these: the format of a value needs the value, and no single access has an inventory.
ELSEWHERE = {KIND.SECRET_WRONG_SHAPE, KIND.RESOURCE_UNRECORDED}

type Act = Callable[[Account, Onboarding], object]


@pytest.fixture(autouse=True)
def there(account: Account, stack: Callable[..., None]) -> None:
    trusted = f"arn:aws:iam::{ACCOUNT}:role/*"
    stack(ALLOWED_PARTNER_ACCOUNTS=PARTNER, ALLOWED_ORIGIN_HOSTS="*", TRUSTED_PRINCIPAL_PATTERNS=trusted)
    account.add_resources()


def recorded(run: Run, account: Account, system: str) -> Onboarding:
    if system == TAILOR:
        return onboarded(run, account)
    return Onboarding(run, account, system=system).run_through("record_access")


def observe(run: Run, access: Onboarding, **event: Any) -> dict[str, Any]:
    return run("observe_access", {"accessId": access.checked["accessId"], **event})


def found(run: Run, access: Onboarding) -> list[dict[str, Any]]:
    observation = observe(run, access)
    return [*observation["causes"], *observation["findings"]]


def _key_id(access: Onboarding) -> str:
    return access.key.rpartition("/")[2]


def _change_key_policy(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Act:
    def act(account: Account, access: Onboarding) -> None:
        present = json.loads(account.kms.get_key_policy(KeyId=access.key, PolicyName="default")["Policy"])
        text = policy(*change(present["Statement"]))
        account.kms.put_key_policy(KeyId=access.key, PolicyName="default", Policy=text)

    return act


def _change_secret_policy(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Act:
    def act(account: Account, access: Onboarding) -> None:
        present = json.loads(account.secretsmanager.get_resource_policy(SecretId=access.secret)["ResourcePolicy"])
        account.secretsmanager.put_resource_policy(SecretId=access.secret, ResourcePolicy=policy(*change(present["Statement"])))

    return act


def _with(statement: dict[str, Any]) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda statements: [*statements, statement]


def _without(sid: str) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda statements: [one for one in statements if one["Sid"] != sid]


def _altered(sid: str, **members: Any) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda statements: [one | (members if one["Sid"] == sid else {}) for one in statements]


def _outdated(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The statement for the secrets as versions before 0.2.0 wrote it: with the ARN of each secret."""
    [secret] = registry().accesses.all()
    assert secret.record
    condition = "StringLike"
    for one in statements:
        if one["Sid"] == "LatchkeySecretDecryption":
            one["Condition"][condition]["kms:EncryptionContext:SecretARN"] = [f"{(secret.record.secret_arn or '')[:-6]}??????"]
    return statements


def _missing_key(account: Account, access: Onboarding) -> None:
    """moto has no key that was deleted for good, so the record names one that never existed."""
    _record(account, access, keyArn=access.key[:-1] + ("0" if access.key[-1] != "0" else "1"))


def _record(account: Account, access: Onboarding, **attributes: str) -> None:
    for name, value in attributes.items():
        account.dynamodb.update_item(
            TableName="latchkey-accesses",
            Key={"kind": {"S": "access"}, "id": {"S": access.checked["accessId"]}},
            UpdateExpression="SET #name = :value",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":value": {"S": value}},
        )


def _destroy_secret(account: Account, access: Onboarding) -> None:
    account.secretsmanager.delete_secret(SecretId=access.secret, ForceDeleteWithoutRecovery=True)


def _replace_secret(account: Account, access: Onboarding) -> None:
    name = account.secretsmanager.describe_secret(SecretId=access.secret)["Name"]
    _destroy_secret(account, access)
    account.secretsmanager.create_secret(Name=name, SecretString="{}")


def _move_alias(account: Account, access: Onboarding) -> None:
    [alias] = account.kms.list_aliases(KeyId=access.key)["Aliases"]
    account.kms.update_alias(AliasName=alias["AliasName"], TargetKeyId=account.key().rpartition("/")[2])


def _fail_replication(account: Account, access: Onboarding) -> None:
    name = account.secretsmanager.describe_secret(SecretId=access.secret)["Name"]
    account.secret(name, "{}", region="eu-west-1")
    account.secretsmanager.replicate_secret_to_regions(SecretId=access.secret, AddReplicaRegions=[{"Region": "eu-west-1"}])


def _delete_role(account: Account, _access: Onboarding) -> None:
    account.iam.delete_role_policy(RoleName=role_name_of(ROLE), PolicyName=POLICY_NAME)
    account.iam.delete_role(RoleName=role_name_of(ROLE))


def _replace_role(account: Account, access: Onboarding) -> None:
    _record(account, access, recordedAt="2026-01-01T00:00:00+00:00")
    _delete_role(account, access)
    account.role(role_name_of(ROLE))


def _role(call: str, **members: Any) -> Act:
    return lambda account, _: getattr(account.iam, call)(RoleName=role_name_of(ROLE), **members)


def _refuse(account: Account, _access: Onboarding) -> None:
    account.simulator.refused = {"kms:Decrypt"}


def _revoke(account: Account, access: Onboarding) -> None:
    account.kms.revoke_grant(KeyId=access.key, GrantId=grants(account, access.key)[0])


def _grant(secret: str = "", grantee: str = "mediatailor.amazonaws.com", operations: tuple[str, ...] = ("Decrypt",)) -> Act:
    def act(account: Account, access: Onboarding) -> None:
        account.kms.create_grant(
            KeyId=access.key,
            GranteePrincipal=grantee,
            Name=GRANT,
            Operations=[*operations],
            Constraints={"EncryptionContextSubset": {"SecretARN": secret or access.secret}},
        )

    return act


def _location(**members: Any) -> Act:
    return lambda account, _: account.mediatailor.locations[NAME].update(members)


def _token(**members: str) -> Act:
    def act(account: Account, access: Onboarding) -> None:
        access_settings = token_configuration(access.secret)
        access_settings["SecretsManagerAccessTokenConfiguration"] |= members
        account.mediatailor.locations[NAME]["AccessConfiguration"] = access_settings

    return act


def _no_token(account: Account, _access: Onboarding) -> None:
    del account.mediatailor.locations[NAME]["AccessConfiguration"]


def _open(account: Account, _access: Onboarding) -> None:
    held = account.mediapackagev2.policies["sports/one/hls"]
    everyone = {"Sid": "Theirs", "Effect": "Allow", "Principal": "*", "Action": "mediapackagev2:GetObject", "Resource": "*"}
    statements = json.loads(held["Policy"])["Statement"]
    held["Policy"] = policy(*statements, everyone)


def _remove_everything(account: Account, access: Onboarding) -> None:
    _missing_key(account, access)
    _destroy_secret(account, access)
    account.mediatailor.locations.clear()


def _untag(account: Account, access: Onboarding) -> None:
    account.kms.untag_resource(KeyId=access.key, TagKeys=["latchkey:managed-by"])
    account.kms.tag_resource(KeyId=access.key, Tags=[{"TagKey": "team", "TagValue": "sports"}])


def _alert(account: Account, _access: Onboarding) -> None:
    account.mediatailor.alerts = ["NOT_PROCESSED"]


OTHER_SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:theirs/token-AbCdEf"
MANAGEMENT, READING = "LatchkeyMediatailorManagement", "LatchkeyMediatailorReading"
CASES: dict[FindingKind, tuple[str, Act, str]] = {
    KIND.KEY_MISSING: (TAILOR, _missing_key, "does not exist"),
    KIND.KEY_DISABLED: (TAILOR, lambda account, access: account.kms.disable_key(KeyId=_key_id(access)), "is Disabled"),
    KIND.KEY_PENDING_DELETION: (
        TAILOR,
        lambda account, access: account.kms.schedule_key_deletion(KeyId=_key_id(access)),
        "is PendingDeletion",
    ),
    KIND.KEY_ROTATION_OFF: (TAILOR, lambda account, access: account.kms.disable_key_rotation(KeyId=_key_id(access)), "is off"),
    KIND.KEY_ROTATION_PERIOD: (
        TAILOR,
        lambda _account, _access: set_rotation_period(100),
        "every 100 days",
    ),
    KIND.KEY_ALIAS_MOVED: (TAILOR, _move_alias, "alias/latchkey/mediatailor names "),
    KIND.KEY_STATEMENT_MISSING: (TAILOR, _change_key_policy(_without(MANAGEMENT)), f"{MANAGEMENT} is missing"),
    KIND.KEY_STATEMENT_ALTERED: (
        TAILOR,
        _change_key_policy(_altered(MANAGEMENT, Action="kms:Decrypt")),
        "Action is kms:Decrypt",
    ),
    KIND.KEY_STATEMENT_OUTDATED: (TAILOR, _change_key_policy(_outdated), "lacks RequestToValidateKeyAccess"),
    KIND.KEY_POLICY_NOT_DELEGATING: (ROLE, _change_key_policy(_without("EnableIAMUserPermissions")), ROOT),
    KIND.KEY_POLICY_DELETED_PRINCIPAL: (
        TAILOR,
        _change_key_policy(_with(WHOLE | {"Sid": "Theirs", "Principal": {"AWS": DELETED}})),
        f"{DELETED} in Theirs",
    ),
    KIND.SECRET_MISSING: (TAILOR, _destroy_secret, "does not exist"),
    KIND.SECRET_REPLACED: (TAILOR, _replace_secret, "has the name of"),
    KIND.SECRET_PENDING_DELETION: (
        TAILOR,
        lambda account, access: account.secretsmanager.delete_secret(SecretId=access.secret),
        "is scheduled for deletion",
    ),
    KIND.SECRET_UNDER_OTHER_KEY: (
        TAILOR,
        lambda account, access: account.secretsmanager.update_secret(SecretId=access.secret, KmsKeyId=account.key()),
        "instead of",
    ),
    KIND.SECRET_REPLICA_DIVERGED: (TAILOR, _fail_replication, "in eu-west-1 is Failed"),
    KIND.SECRET_STATEMENT_MISSING: (
        TAILOR,
        lambda account, access: account.secretsmanager.delete_resource_policy(SecretId=access.secret),
        f"there is no policy: {READING} is missing",
    ),
    KIND.SECRET_STATEMENT_ALTERED: (
        TAILOR,
        _change_secret_policy(_altered(READING, Action="secretsmanager:DescribeSecret")),
        "Action is secretsmanager:DescribeSecret",
    ),
    KIND.SECRET_POLICY_EXCLUDES_READER: (
        TAILOR,
        _change_secret_policy(_with(READ | {"Effect": "Deny", "Principal": {"Service": "mediatailor.amazonaws.com"}})),
        "Theirs denies mediatailor.amazonaws.com",
    ),
    KIND.SECRET_POLICY_PUBLIC: (TAILOR, _change_secret_policy(_with(READ | {"Principal": "*"})), "Theirs allows everyone"),
    KIND.SECRET_POLICY_ADMITS_OTHERS: (
        TAILOR,
        _change_secret_policy(_with(READ | {"Principal": {"AWS": STRANGER}})),
        f"Theirs admits {STRANGER}",
    ),
    KIND.SECRET_POLICY_DELETED_PRINCIPAL: (
        TAILOR,
        _change_secret_policy(_with(READ | {"Principal": {"AWS": DELETED}, "Action": "secretsmanager:DescribeSecret"})),
        f"{DELETED} in Theirs",
    ),
    KIND.ROLE_MISSING: (ROLE, _delete_role, "does not exist"),
    KIND.ROLE_REPLACED: (ROLE, _replace_role, "was created"),
    KIND.ROLE_TRUST_CHANGED: (
        ROLE,
        _role("update_assume_role_policy", PolicyDocument=policy(OF_OTHERS)),
        "TheServiceForThisAccount is missing",
    ),
    KIND.ROLE_POLICY_CHANGED: (ROLE, _role("delete_role_policy", PolicyName=POLICY_NAME), "there is no document"),
    KIND.ROLE_BOUNDARY_CHANGED: (ROLE, _role("delete_role_permissions_boundary"), "is absent instead of"),
    KIND.ROLE_FOREIGN_POLICY: (
        ROLE,
        _role("put_role_policy", PolicyName="Theirs", PolicyDocument=policy(ANYTHING)),
        "also has Theirs",
    ),
    KIND.ROLE_CANNOT_READ: (ROLE, _refuse, "is not allowed kms:Decrypt"),
    KIND.GRANT_MISSING: (TAILOR, _revoke, f"{GRANT}: none on"),
    KIND.GRANT_STALE: (TAILOR, _grant(OTHER_SECRET), f"constrained to {OTHER_SECRET}"),
    KIND.GRANT_DUPLICATE: (TAILOR, _grant(operations=("Decrypt", "RetireGrant")), "2 grants for"),
    KIND.GRANT_WIDER_OPERATIONS: (TAILOR, _grant(operations=("Decrypt", "Encrypt")), "also Encrypt"),
    KIND.GRANT_UNKNOWN_PRINCIPAL: (TAILOR, _grant(grantee=STRANGER), f"given to {STRANGER}"),
    KIND.RESOURCE_MISSING: (TAILOR, lambda account, _: account.mediatailor.locations.clear(), "does not exist"),
    KIND.RESOURCE_OTHER_SECRET: (TAILOR, _token(SecretArn=OTHER_SECRET), f"uses {OTHER_SECRET}, instead of"),
    KIND.RESOURCE_NO_TOKEN: (TAILOR, _no_token, "uses no secret, instead of"),
    KIND.RESOURCE_OTHER_HEADER: (TAILOR, _token(HeaderName="X-Other"), "header is X-Other instead of"),
    KIND.RESOURCE_OTHER_BASE_URL: (
        TAILOR,
        _location(HttpConfiguration={"BaseUrl": "https://other.example.com/vod"}),
        "baseUrl is https://other.example.com/vod instead of",
    ),
    KIND.RESOURCE_OTHER_SETTING: (TAILOR, _token(SecretStringKey="other"), "secretKey is other instead of"),
    KIND.RESOURCE_OPEN: ("mediapackagev2", _open, "Theirs admits everybody"),
    KIND.RESOURCE_ALERT: (TAILOR, _alert, "NOT_PROCESSED"),
    KIND.RECORDED_UNTAGGED: (TAILOR, _untag, "latchkey:managed-by is None"),
    KIND.RECORD_WITHOUT_RESOURCE: (TAILOR, _remove_everything, "none of these exists"),
}
# Where the severity depends on whether the service can still read.
SEVERITIES = {KIND.KEY_MISSING: "high", KIND.ROLE_POLICY_CHANGED: "high", KIND.ROLE_REPLACED: "critical"}
# What one of the cases changes in addition to its kind: a duplicate with other operations is also a wider grant, for example.
ALSO = {KIND.GRANT_WIDER_OPERATIONS: {KIND.GRANT_DUPLICATE}}


def test_every_kind_has_a_case_that_creates_it_by_hand() -> None:
    assert CASES.keys() | ELSEWHERE == {*FindingKind}
    assert not CASES.keys() & ELSEWHERE


@pytest.mark.parametrize("kind", CASES)
def test_what_was_changed_by_hand_is_found_with_its_reason(run: Run, account: Account, kind: FindingKind) -> None:
    system, act, evidence = CASES[kind]
    rotation = {"key": {"rotationDays": 365}} if kind is KIND.KEY_ROTATION_PERIOD else {}
    access = onboarded(run, account, **rotation) if system == TAILOR else recorded(run, account, system)
    assert found(run, access) == []

    act(account, access)

    before = account.snapshot()
    [*others, one] = sorted(found(run, access), key=lambda one: one["kind"] == kind.value)
    assert account.snapshot() == before
    assert (one["kind"], one["severity"]) == (kind.value, SEVERITIES.get(kind, CATALOG[kind].severity))
    assert evidence in one["evidence"]
    assert {FindingKind(other["kind"]) for other in others} == ALSO.get(kind, set())
    assert found(run, access) == [*others, one]


@pytest.mark.parametrize("system", SYSTEMS)
def test_an_untouched_access_has_no_finding(run: Run, account: Account, system: str) -> None:
    observation = observe(run, recorded(run, account, system))

    assert (observation["causes"], observation["findings"], observation["remedy"]) == ([], [], [])


def test_a_trail_event_says_when_and_by_which_principal(run: Run, account: Account) -> None:
    access = recorded(run, account, TAILOR)
    account.kms.disable_key(KeyId=_key_id(access))
    hint = {"eventId": "event-1", "eventName": "DisableKey", "eventTime": "2026-11-27T10:00:00Z", "principal": STRANGER}

    [one] = observe(run, access, hint=hint)["causes"]

    assert (one["since"], one["trailEventId"], one["principal"]) == ("2026-11-27T10:00:00Z", "event-1", STRANGER)


def test_the_readers_of_another_access_of_the_secret_are_asked_for(run: Run, account: Account) -> None:
    """Two accesses of one adopted secret: neither finds that the other one's principals can read it."""
    key = account.key(tags=ADOPT)
    secret = account.secret("theirs/shared", json.dumps({"MyAccessTokenIdentifier": "t" * 20}), key=key)
    reader = account.role("Origin")
    shared = {"secret": {"value": {"existing": {"secretArn": secret}}, "originReaders": [reader]}, "key": {"arn": key}}

    assert found(run, onboarded(run, account, **shared)) == []
