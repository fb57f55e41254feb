"""check_request: the rules for the KMS key."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from moto.kms.models import kms_backends

from latchkey import policies
from latchkey.access.desired import desire
from latchkey.errors import InvalidRequest
from latchkey.requests.parsing import parse_onboarding
from latchkey.settings import settings
from latchkey.tags import DEFAULT_TENANT
from tests.functions.account import ACCOUNT, ADOPT, IMPORT, OURS, REGION, ROOT, TABLE, Account
from tests.functions.onboarding_requests import (
    SECRET_KEY,
    Run,
    check_event,
    check_rejection,
    existing,
    onboarding,
    rejected_paths,
)

ALIAS = "alias/latchkey/mediatailor"
TRUSTED = f"arn:aws:iam::{ACCOUNT}:role/media/Admin"
ELSEWHERE = {"another Region": f"eu-west-1:{ACCOUNT}", "another account": f"{REGION}:111122223333"}


def id_of(key: str) -> str:
    """The key id, because some operations of moto accept no ARN."""
    return key.rpartition("/")[2]


def by_arn(run: Run, arn: str) -> dict[str, str]:
    return check_rejection(run, key={"arn": arn})


@pytest.mark.parametrize("place", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_key_of_another_account_or_region_is_rejected(run: Run, place: str) -> None:
    rejected = by_arn(run, f"arn:aws:kms:{place}:key/1234abcd-12ab-34cd-56ef-1234567890ab")

    assert set(rejected) == {"key.arn"}


def test_a_missing_key_is_rejected(run: Run) -> None:
    rejected = by_arn(run, f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab")

    assert set(rejected) == {"key.arn"}


def test_a_missing_alias_means_a_new_key(run: Run) -> None:
    assert run("check_request", check_event(onboarding(key={"alias": "alias/latchkey/sports"})))


def test_a_key_of_latchkey_can_serve_another_access(run: Run, account: Account) -> None:
    account.key(alias=ALIAS)

    assert run("check_request", check_event(onboarding()))


def test_a_key_is_ours_by_the_registry_and_the_tag(run: Run, account: Account) -> None:
    """Anybody who can tag keys can set the tag."""
    forged = account.key(tags=OURS)

    assert set(by_arn(run, forged)) == {"key.arn"}


def test_an_adopted_key_passes(run: Run, account: Account) -> None:
    assert run("check_request", check_event(onboarding(key={"arn": account.key(tags=ADOPT)})))


@pytest.mark.parametrize(
    "settings",
    [
        {"KeySpec": "RSA_2048"},
        {"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"},
        {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
    ],
    ids=["encrypts asymmetrically", "signs", "authenticates"],
)
def test_an_asymmetric_or_hmac_key_is_rejected(run: Run, account: Account, settings: dict[str, Any]) -> None:
    assert set(by_arn(run, account.key(tags=ADOPT, **settings))) == {"key.arn"}


def test_a_multi_region_key_is_rejected(run: Run, account: Account) -> None:
    assert set(by_arn(run, account.key(tags=ADOPT, MultiRegion=True))) == {"key.arn"}


def test_a_disabled_key_is_rejected(run: Run, account: Account) -> None:
    key = account.key(tags=ADOPT)
    account.kms.disable_key(KeyId=id_of(key))

    assert set(by_arn(run, key)) == {"key.arn"}


def test_a_key_pending_deletion_is_rejected(run: Run, account: Account) -> None:
    key = account.key(tags=ADOPT)
    account.kms.schedule_key_deletion(KeyId=id_of(key), PendingWindowInDays=7)

    assert set(by_arn(run, key)) == {"key.arn"}


def test_an_aws_managed_key_is_rejected(run: Run, account: Account) -> None:
    key = account.key(tags={})
    kms_backends[ACCOUNT][REGION].keys[id_of(key)].key_manager = "AWS"

    assert set(by_arn(run, key)) == {"key.arn"}


@pytest.mark.parametrize("tags", [{}, IMPORT, {"latchkey:consent": "Adopt"}], ids=["none", "import", "another case"])
def test_a_foreign_key_without_consent_is_rejected(run: Run, account: Account, tags: dict[str, str]) -> None:
    key = account.key(tags=tags)

    assert set(by_arn(run, key)) == {"key.arn"}


def test_a_foreign_key_is_rejected_by_its_alias_too(run: Run, account: Account) -> None:
    account.key(tags={}, alias=ALIAS)

    assert rejected_paths(run) == {"key.alias"}


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/Owner"}, "Action": "kms:*", "Resource": "*"},
        {
            "Effect": "Allow",
            "Principal": {"AWS": ROOT},
            "Action": "kms:*",
            "Resource": "*",
            "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
        },
        {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:DescribeKey", "Resource": "*"},
    ],
    ids=["a role alone", "root under a condition", "root for one action"],
)
def test_a_key_that_does_not_delegate_to_iam_is_rejected(run: Run, account: Account, statement: dict[str, Any]) -> None:
    key = account.key(tags=ADOPT)
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    account.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))

    assert set(by_arn(run, key)) == {"key.arn"}


DELETED = ["AROAEXAMPLE1234567890", "AIDAEXAMPLE1234567890"]
OF_THE_DEAD = {"Effect": "Allow", "Principal": {"AWS": [*DELETED, ROOT]}, "Action": "kms:Encrypt", "Resource": "*"}
REMOVE = f"its policy names principals that were deleted, so AWS takes no change of it: remove {DELETED[1]}, {DELETED[0]}"


def write_policy(account: Account, key: str, *statements: dict[str, Any]) -> None:
    document = policies.new_document([policies.delegation(settings().place), *statements])
    account.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(document))


def wanted(**members: Any) -> tuple[dict[str, Any], ...]:
    """The statements of Latchkey in the key policy for a request."""
    return desire(parse_onboarding(onboarding(**members)), settings(), DEFAULT_TENANT).key_statements


def test_a_key_policy_with_deleted_principals_is_rejected(run: Run, account: Account) -> None:
    key = account.key(tags=ADOPT)
    write_policy(account, key, OF_THE_DEAD)

    assert set(by_arn(run, key)) == {"key.arn"}


def test_a_shared_key_with_deleted_principals_is_rejected_by_its_alias(run: Run, account: Account) -> None:
    key = account.key(alias=ALIAS)
    write_policy(account, key, *wanted(resource={"sourceLocation": "news-origin"}), OF_THE_DEAD)

    assert rejected_paths(run, managementRoles=[account.role("New", "/media/")]) == {"key.alias"}


def test_a_key_policy_that_needs_no_change_can_name_deleted_principals(run: Run, account: Account) -> None:
    write_policy(account, account.key(alias=ALIAS), *wanted(), OF_THE_DEAD)

    assert run("check_request", check_event(onboarding()))


def test_deleted_principals_in_statements_of_latchkey_are_not_a_problem(run: Run, account: Account) -> None:
    write_policy(account, account.key(alias=ALIAS), policies.use(DELETED))

    assert run("check_request", check_event(onboarding()))


def test_a_key_policy_changes_for_the_former_readers_of_a_secret(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    # A secret under the default key: its present readers need a statement in the policy of the new key.
    secret = existing(account.secret("origin/token", json.dumps({SECRET_KEY: "not-a-real-token"})))
    key = account.key(tags=ADOPT)
    write_policy(account, key, *wanted(key={"arn": key}, secret=secret), OF_THE_DEAD)

    assert rejected_paths(run, key={"arn": key}, secret=secret) == {"key.arn"}


def test_every_problem_of_a_key_is_reported(run: Run, account: Account) -> None:
    key = account.key(tags={}, MultiRegion=True)
    account.kms.disable_key(KeyId=id_of(key))

    with pytest.raises(InvalidRequest) as caught:
        run("check_request", check_event(onboarding(key={"arn": key})))

    assert [problem.path for problem in caught.value.problems] == ["key.arn"] * 3


POWERS = {
    "key.administrators": {"administrators": [TRUSTED]},
    "key.users": {"users": [TRUSTED]},
    "key.allowDeletion": {"administrators": [TRUSTED], "allowDeletion": True},
}


@pytest.fixture
def trusted(account: Account) -> str:
    return account.role("Admin", "/media/")


@pytest.mark.parametrize("place", POWERS)
def test_power_over_a_key_that_serves_another_access_is_rejected(run: Run, account: Account, trusted: str, place: str) -> None:
    key = account.key(alias=ALIAS)
    refer(account, key, "mediatailor/sourceLocation/news-origin")

    assert place in check_rejection(run, key=POWERS[place])


@pytest.mark.parametrize("place", POWERS)
def test_power_over_an_adopted_key_is_rejected(run: Run, account: Account, trusted: str, place: str) -> None:
    account.key(tags=ADOPT, alias=ALIAS)

    assert place in check_rejection(run, key=POWERS[place])


@pytest.mark.parametrize("place", POWERS)
def test_power_over_a_key_that_serves_only_this_access_passes(run: Run, account: Account, trusted: str, place: str) -> None:
    refer(account, account.key(alias=ALIAS), "mediatailor/sourceLocation/sports-origin")

    assert run("check_request", check_event(onboarding(key=POWERS[place])))


def test_power_that_the_key_policy_already_gives_passes(run: Run, account: Account, trusted: str) -> None:
    request = parse_onboarding(onboarding(key=POWERS["key.allowDeletion"]))
    policy = json.dumps(desire(request, settings(), DEFAULT_TENANT).new_key_policy)
    refer(account, account.key(alias=ALIAS, Policy=policy), "mediatailor/sourceLocation/news-origin")

    assert run("check_request", check_event(onboarding(key=POWERS["key.allowDeletion"])))


def refer(account: Account, key: str, access_id: str) -> None:
    item = {"kind": {"S": "resource"}, "id": {"S": key}, "accesses": {"SS": [access_id]}}
    account.dynamodb.put_item(TableName=TABLE, Item=item)
