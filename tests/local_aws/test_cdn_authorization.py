"""MediaPackage accepts the current and previous value of a secret, caches them, and needs the role to refresh them."""

import hashlib

import pytest

from local_aws.tools.embedded_aws import Embedded
from tests.local_aws.gap_account import Account
from tests.local_aws.role_reader import RoleReader, fetch, identifier
from tests.local_aws.test_mediapackage import HEADER, KEY, SERVICE, TOKEN, Target, authorization


@pytest.fixture
def reader(local: Embedded) -> RoleReader:
    return RoleReader(Account(local), SERVICE, identifier(KEY, TOKEN))


@pytest.fixture
def url(reader: RoleReader) -> str:
    target = Target(reader.account, "mediapackage")
    reader.account.assume(clockSeconds=1000)
    target.create(**authorization(reader))
    return target.url()


def test_previous_value_is_accepted_until_the_second_rotation(reader: RoleReader, url: str) -> None:
    reader.rotate(identifier(KEY, "new-value-1"))
    assert [fetch(url, HEADER, value) for value in (TOKEN, "new-value-1")] == [200, 200]
    reader.rotate(identifier(KEY, "new-value-2"))
    assert [fetch(url, HEADER, value) for value in (TOKEN, "new-value-1", "new-value-2")] == [403, 200, 200]


def test_new_value_is_accepted_after_the_delay(reader: RoleReader, url: str) -> None:
    reader.account.assume(cdnAuthDelaySeconds=600)
    reader.rotate(identifier(KEY, "new-value-1"))
    reader.account.assume(clockSeconds=1599)
    assert fetch(url, HEADER, "new-value-1") == 403
    reader.account.assume(clockSeconds=1600)
    assert fetch(url, HEADER, "new-value-1") == 200


@pytest.mark.parametrize("lost", ["describe", "get", "decrypt"])
def test_values_expire_if_the_role_can_no_longer_read_the_secret(reader: RoleReader, url: str, lost: str) -> None:
    reader.account.assume(cdnAuthDelaySeconds=600)
    reader.permit_all_but(lost)
    reader.account.assume(clockSeconds=1599)
    assert fetch(url, HEADER, TOKEN) == 200
    reader.account.assume(clockSeconds=1600)
    assert fetch(url, HEADER, TOKEN) == 403
    reader.permit("describe", "get", "decrypt")
    assert fetch(url, HEADER, TOKEN) == 403
    reader.account.assume(clockSeconds=2200)
    assert fetch(url, HEADER, TOKEN) == 200


def test_new_value_under_a_key_without_permission_is_not_accepted(reader: RoleReader, url: str) -> None:
    secrets = reader.account.client("secretsmanager")
    secrets.update_secret(SecretId=reader.secret, KmsKeyId=reader.account.key())
    assert fetch(url, HEADER, TOKEN) == 200  # the copy under the former key
    reader.rotate(identifier(KEY, "new-value-1"))
    assert fetch(url, HEADER, "new-value-1") == 403


def test_role_is_assumed_once_per_delay(reader: RoleReader, url: str) -> None:
    reader.account.local.control("DELETE", "calls")
    reader.account.assume(cdnAuthDelaySeconds=600)
    for clock in (1000, 1599, 1600, 1601):
        reader.account.assume(clockSeconds=clock)
        fetch(url, HEADER, TOKEN)
    assert reader.reads()[SERVICE, "AssumeRole"] == 1


def test_recorded_requests_do_not_contain_the_value(reader: RoleReader, url: str) -> None:
    fetch(url, HEADER, TOKEN)
    seen = reader.account.local.control("GET", "origin")[-1]
    assert url.endswith(seen.pop("path"))
    assert seen == {"status": 200, "header": HEADER, "valueSha256": hashlib.sha256(TOKEN.encode()).hexdigest()}
