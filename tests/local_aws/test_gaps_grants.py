"""KMS grants: grants to principals and to services, what they allow, and ListGrants."""

from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from tests.local_aws.gap_account import ROOT, Account, allow, error_code

SERVICE = "mediatailor.amazonaws.com"
SOURCE = f"arn:aws:mediatailor:us-east-1:{ACCOUNT}:sourceLocation/a"


@pytest.fixture
def account(local: Embedded) -> Account:
    return Account(local)


@pytest.fixture
def kms(account: Account) -> Any:
    return account.client("kms")


def service_grant(key: str) -> dict[str, Any]:
    return {
        "KeyId": key,
        "GranteeServicePrincipal": SERVICE,
        "RetiringServicePrincipal": SERVICE,
        "Operations": ["Decrypt"],
        "Constraints": {"SourceArn": SOURCE},
        "Name": "a",
    }


def test_grant_to_a_service_principal_is_listed_with_its_members(account: Account, kms: Any) -> None:
    key = account.key()
    made = kms.create_grant(**service_grant(key))["GrantId"]
    (listed,) = kms.list_grants(KeyId=key)["Grants"]
    assert "GranteePrincipal" not in listed
    assert "RetiringPrincipal" not in listed
    assert (listed["GranteeServicePrincipal"], listed["RetiringServicePrincipal"]) == (SERVICE, SERVICE)
    assert (listed["GrantId"], listed["Constraints"]) == (made, {"SourceArn": SOURCE})
    assert kms.list_grants(KeyId=key, GranteeServicePrincipal="other.amazonaws.com")["Grants"] == []


@pytest.mark.parametrize("missing", ["Constraints", "RetiringServicePrincipal"])
def test_grant_to_a_service_principal_requires_source_and_retiring_principal(account: Account, kms: Any, missing: str) -> None:
    request = {name: value for name, value in service_grant(account.key()).items() if name != missing}
    assert error_code(kms.create_grant, **request) == "ValidationException"


def test_repeated_create_grant_returns_the_same_grant(account: Account, kms: Any) -> None:
    key = account.key()
    first = kms.create_grant(**service_grant(key))["GrantId"]
    date = kms.list_grants(KeyId=key)["Grants"][0]["CreationDate"]
    assert kms.create_grant(**service_grant(key))["GrantId"] == first
    assert [grant["CreationDate"] for grant in kms.list_grants(KeyId=key)["Grants"]] == [date]
    kms.revoke_grant(KeyId=key, GrantId=first)
    assert error_code(kms.revoke_grant, KeyId=key, GrantId=first) == "NotFoundException"


def test_grant_allows_its_operations_within_its_constraints(account: Account, kms: Any) -> None:
    key, role = account.key(), account.role()
    context = {"SecretARN": "this"}
    cipher = kms.encrypt(KeyId=key, Plaintext=b"a", EncryptionContext=context | {"other": "b"})["CiphertextBlob"]
    request = {"KeyId": key, "CiphertextBlob": cipher, "EncryptionContext": context | {"other": "b"}}
    client = role.client("kms")
    assert error_code(client.decrypt, **request) == "AccessDeniedException"
    grant = {"KeyId": key, "GranteePrincipal": role.arn, "Operations": ["Decrypt"]}
    made = kms.create_grant(**grant, Constraints={"EncryptionContextSubset": context})["GrantId"]
    assert client.decrypt(**request)["Plaintext"] == b"a"
    assert error_code(client.decrypt, **request | {"EncryptionContext": {"other": "b"}}) == "AccessDeniedException"
    kms.revoke_grant(KeyId=key, GrantId=made)
    assert error_code(client.decrypt, **request) == "AccessDeniedException"


def test_direct_create_grant_is_not_for_an_aws_resource(account: Account) -> None:
    key = account.key()
    for_services = allow("kms:CreateGrant", key, Bool={"kms:GrantIsForAWSResource": "true"})
    decrypt_only = allow("kms:CreateGrant", key, **{"ForAllValues:StringEquals": {"kms:GrantOperations": "Decrypt"}})
    grant = {"KeyId": key, "GranteePrincipal": ROOT, "Operations": ["Decrypt"]}
    assert error_code(account.role(for_services).client("kms").create_grant, **grant) == "AccessDeniedException"
    narrow = account.role(decrypt_only).client("kms")
    assert error_code(narrow.create_grant, **grant | {"Operations": ["Decrypt", "Encrypt"]}) == "AccessDeniedException"
    narrow.create_grant(**grant)


def pages(kms: Any, key: str, limit: int = 2) -> list[list[str]]:
    found = kms.get_paginator("list_grants").paginate(KeyId=key, PaginationConfig={"PageSize": limit})
    return [[grant["Name"] for grant in page["Grants"]] for page in found]


def make_grants(kms: Any, key: str, names: str) -> None:
    for name in names:
        kms.create_grant(KeyId=key, GranteePrincipal=ROOT, Operations=["Decrypt"], Name=name)


def test_marker_remains_valid_after_its_grant_is_deleted(account: Account, kms: Any) -> None:
    key = account.key()
    make_grants(kms, key, "abcde")
    first = kms.list_grants(KeyId=key, Limit=2)
    everything = kms.list_grants(KeyId=key)["Grants"]
    kms.revoke_grant(KeyId=key, GrantId=everything[2]["GrantId"])
    rest = kms.list_grants(KeyId=key, Marker=first["NextMarker"])
    assert [*first["Grants"], *rest["Grants"]] == everything[:2] + everything[3:]
    assert not rest["Truncated"]
    assert error_code(kms.list_grants, KeyId=key, Marker="nonsense") == "InvalidMarkerException"


def test_empty_pages_assumption(account: Account, kms: Any) -> None:
    key = account.key()
    make_grants(kms, key, "abc")
    assert [len(page) for page in pages(kms, key)] == [2, 1]
    account.assume(emptyPages=True)
    assert [len(page) for page in pages(kms, key)] == [0, 2, 0, 1]


def test_grant_lag_assumption(account: Account, kms: Any) -> None:
    key = account.key()
    account.assume(grantLagSeconds=600)
    make_grants(kms, key, "a")
    assert pages(kms, key) == [[]]
    account.assume(grantLagSeconds=0)
    assert pages(kms, key) == [["a"]]


def test_grants_and_their_list_are_dated_by_the_emulated_clock(account: Account, kms: Any) -> None:
    key = account.key()
    account.assume(clockSeconds=1_800_000_000)
    make_grants(kms, key, "a")
    account.assume(clockSeconds=1_800_000_060)
    listed = kms.list_grants(KeyId=key)
    assert listed["Grants"][0]["CreationDate"].timestamp() == 1_800_000_000
    assert listed["ResponseMetadata"]["HTTPHeaders"]["date"] == "Fri, 15 Jan 2027 08:01:00 GMT"
