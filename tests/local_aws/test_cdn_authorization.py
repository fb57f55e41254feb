"""What MediaPackage holds of a secret: current and previous value, as old as assumed, and never beyond the role's rights."""

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


def test_the_previous_value_opens_until_the_one_after_next(reader: RoleReader, url: str) -> None:
    reader.rotate(identifier(KEY, "new-value-1"))
    assert [fetch(url, HEADER, value) for value in (TOKEN, "new-value-1")] == [200, 200]
    reader.rotate(identifier(KEY, "new-value-2"))
    assert [fetch(url, HEADER, value) for value in (TOKEN, "new-value-1", "new-value-2")] == [403, 200, 200]


def test_a_new_value_opens_after_the_delay(reader: RoleReader, url: str) -> None:
    reader.account.assume(cdnAuthDelaySeconds=600)
    reader.rotate(identifier(KEY, "new-value-1"))
    reader.account.assume(clockSeconds=1599)
    assert fetch(url, HEADER, "new-value-1") == 403
    reader.account.assume(clockSeconds=1600)
    assert fetch(url, HEADER, "new-value-1") == 200


@pytest.mark.parametrize("lost", ["describe", "get", "decrypt"])
def test_a_role_that_may_no_longer_read_closes_when_the_values_expire(reader: RoleReader, url: str, lost: str) -> None:
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


def test_moving_the_secret_to_a_key_the_role_may_not_use_closes(reader: RoleReader, url: str) -> None:
    secrets = reader.account.client("secretsmanager")
    secrets.update_secret(SecretId=reader.secret, KmsKeyId=reader.account.key())
    assert fetch(url, HEADER, TOKEN) == 200  # the copy under the former key
    reader.rotate(identifier(KEY, "new-value-1"))
    assert fetch(url, HEADER, "new-value-1") == 403


def test_each_read_after_the_delay_assumes_the_role_again(reader: RoleReader, url: str) -> None:
    reader.account.local.control("DELETE", "calls")
    reader.account.assume(cdnAuthDelaySeconds=600)
    for clock in (1000, 1599, 1600, 1601):
        reader.account.assume(clockSeconds=clock)
        fetch(url, HEADER, TOKEN)
    assert reader.reads()[SERVICE, "AssumeRole"] == 1


def test_requests_are_recorded_without_the_value(reader: RoleReader, url: str) -> None:
    fetch(url, HEADER, TOKEN)
    seen = reader.account.local.control("GET", "origin")[-1]
    assert url.endswith(seen.pop("path"))
    assert seen == {"status": 200, "header": HEADER, "valueSha256": hashlib.sha256(TOKEN.encode()).hexdigest()}
