"""check_request: which secrets it refuses to make, adopt, import or send to a new host."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.registry import registry
from tests.functions.account import ACCOUNT, ADOPT, IMPORT, OURS, OWN, REGION, Account
from tests.functions.asking import NAME, SECRET_NAME, Run, check, copied, existing, onboarding, to_check

ADOPTED, IMPORTED = "secret.value.existing.secretArn", "secret.value.copyFrom.secretArn"
OWNED = {"aws:secretsmanager:owningService": "rds"}
ABSENT = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:origin/token-AbCdEf"

type Ask = Callable[..., dict[str, object]]


@pytest.fixture(autouse=True)
def any_host(stack: Callable[..., None]) -> None:
    """The tests about hosts take this back."""
    stack(ALLOWED_ORIGIN_HOSTS="*")


both = pytest.mark.parametrize(
    ("ask", "place", "consent"), [(existing, ADOPTED, "adopt"), (copied, IMPORTED, "import")], ids=["existing", "copyFrom"]
)


@both
def test_an_absent_secret_is_refused(run: Run, ask: Ask, place: str, consent: str) -> None:
    assert check(run, secret=ask(ABSENT)) == {place: "does not exist"}


@both
def test_a_secret_in_deletion_is_refused(run: Run, account: Account, ask: Ask, place: str, consent: str) -> None:
    secret = account.secret("origin/token", "{}", {"latchkey:consent": consent})
    account.secretsmanager.delete_secret(SecretId=secret)

    assert check(run, secret=ask(secret)) == {place: "is being deleted"}


@both
def test_a_secret_of_a_service_is_refused(run: Run, account: Account, ask: Ask, place: str, consent: str) -> None:
    secret = account.secret("origin/token", "{}", OWNED | {"latchkey:consent": consent})

    assert check(run, secret=ask(secret)) == {place: "is managed by rds, which alone may change it"}


@both
def test_a_foreign_secret_says_which_tag_to_set(run: Run, account: Account, ask: Ask, place: str, consent: str) -> None:
    secret = account.secret("origin/token", "{}", {})

    rule = f"its owner has not consented, which the tag latchkey:consent = {consent} on {secret} would do"
    assert check(run, secret=ask(secret)) == {place: rule}


def test_consent_to_an_import_is_none_to_an_adoption(run: Run, account: Account) -> None:
    assert set(check(run, secret=existing(account.secret("origin/token", "{}", IMPORT)))) == {ADOPTED}


def test_the_owners_consent_suffices(run: Run, account: Account) -> None:
    adopted, imported = account.secret("origin/token", "{}", ADOPT), account.secret("cdn/token", "{}", IMPORT)

    assert run("check_request", to_check(onboarding(secret=existing(adopted))))["secretArn"] == adopted
    assert run("check_request", to_check(onboarding(secret=copied(imported)) | {"requestId": "request-2"}))["needsSecret"]


@pytest.mark.parametrize("place", [f"eu-west-1:{ACCOUNT}", f"{REGION}:111122223333"], ids=["Region", "account"])
def test_a_secret_of_elsewhere_cannot_be_adopted(run: Run, place: str) -> None:
    told = check(run, secret=existing(f"arn:aws:secretsmanager:{place}:secret:origin/token-AbCdEf"))

    assert told == {ADOPTED: f"must be a secret of account {ACCOUNT} in {REGION}"}


def test_a_secret_of_another_account_cannot_be_imported(run: Run) -> None:
    told = check(run, secret=copied(f"arn:aws:secretsmanager:{REGION}:111122223333:secret:origin/token-AbCdEf"))

    assert told == {IMPORTED: f"must be a secret of account {ACCOUNT}"}


def test_a_secret_of_another_region_may_be_imported(run: Run, account: Account) -> None:
    secret = account.secret("origin/token", "{}", IMPORT, region="eu-west-1")

    assert run("check_request", to_check(onboarding(secret=copied(secret))))


def test_a_new_secret_stays_under_the_stacks_prefix(run: Run) -> None:
    told = check(run, secret={"name": "origin/token"})

    assert told == {"secret.name": "must begin with latchkey/, the stack's parameter SecretPrefix"}


def test_the_name_of_a_dying_secret_is_taken(run: Run, account: Account) -> None:
    account.secretsmanager.delete_secret(SecretId=account.secret(SECRET_NAME, "{}", OURS))

    told = check(run)

    assert told == {"secret.name": "a secret of this name is being deleted: restore it or wait until it is gone"}


@pytest.mark.parametrize("tags", [{}, ADOPT], ids=["foreign", "consented"])
def test_the_name_of_a_foreign_secret_is_taken(run: Run, account: Account, tags: dict[str, str]) -> None:
    secret = account.secret(SECRET_NAME, "{}", tags)

    rule = f"{secret} exists and is not Latchkey's: adopt it with existing, or choose a name"
    assert check(run) == {"secret.name": rule}


def test_a_secret_leaves_another_customer_key_only_if_asked(run: Run, account: Account) -> None:
    former = account.key(tags=ADOPT)
    secret = account.secret("origin/token", "{}", ADOPT, key=former)

    rule = f"is under {former}: name that key in key.arn, or set secret.moveKey to true to take it from there"
    assert check(run, secret=existing(secret)) == {ADOPTED: rule}
    assert run("check_request", to_check(onboarding(secret=existing(secret, moveKey=True))))


def test_our_own_secret_leaves_its_key_only_if_asked(run: Run, account: Account) -> None:
    former = account.key()
    account.secret(SECRET_NAME, "{}", OWN, key=former)

    rule = f"is under {former}: name that key in key.arn, or set secret.moveKey to true to take it from there"
    assert check(run) == {"secret.name": rule}


def test_a_secret_stays_under_the_key_it_has(run: Run, account: Account) -> None:
    key = account.key(tags=ADOPT)
    secret = account.secret("origin/token", "{}", ADOPT, key=key)

    assert run("check_request", to_check(onboarding(secret=existing(secret), key={"arn": key})))


def test_a_secret_under_the_default_key_may_be_taken_from_there(run: Run, account: Account) -> None:
    assert run("check_request", to_check(onboarding(secret=existing(account.secret("origin/token", "{}")))))


def test_an_existing_secret_goes_to_no_new_host(run: Run, account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*.example.net")
    secret = account.secret("origin/token", "{}")

    assert check(run, secret=existing(secret)) == {
        "resource.baseUrl": "an existing secret goes only to hosts its accesses use or that AllowedOriginHosts lists",
    }
    elsewhere = onboarding(secret=existing(secret), resource={"baseUrl": "https://cdn.example.net/vod"})
    assert run("check_request", to_check(elsewhere | {"requestId": "request-2"}))


def record(run: Run, account: Account, secret_arn: str, **members: Any) -> None:
    """An access that was onboarded before."""
    resources = {"keyArn": account.key(), "secretArn": secret_arn}
    event = {"request": onboarding(**members), "resources": resources, "status": "active"}
    run("record_access", event)


def test_a_host_counts_only_once_its_access_has_been_validated(run: Run, account: Account, stack: Callable[..., None]) -> None:
    secret = account.secret("origin/token", "{}")
    run("check_request", to_check(onboarding(secret=existing(secret))))
    stack(ALLOWED_ORIGIN_HOSTS="")

    assert set(check(run, secret=existing(secret), requestId="request-2")) == {"resource.baseUrl"}


def test_a_secret_that_a_failed_request_left_has_been_sent_nowhere(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="")
    account.secret(SECRET_NAME, "{}", OWN, key=account.key(alias="alias/latchkey/mediatailor"))
    registry().resources.refer(f"secret {SECRET_NAME}", f"mediatailor/sourceLocation/{NAME}")

    assert run("check_request", to_check(onboarding(resource={"baseUrl": "https://new.example.org/vod"})))


def test_where_a_secret_goes_that_another_registry_knows_is_not_known(
    run: Run, account: Account, stack: Callable[..., None]
) -> None:
    """Of another stack, or of one that was deleted and made again: its tags are those of this one's."""
    stack(ALLOWED_ORIGIN_HOSTS="")
    account.secret(SECRET_NAME, "{}", OWN, key=account.key(alias="alias/latchkey/mediatailor"))

    assert set(check(run, resource={"baseUrl": "https://attacker.example.org/vod"})) == {"resource.baseUrl"}


def test_a_secret_found_by_name_serves_only_its_access(run: Run, account: Account) -> None:
    secret = account.secret(SECRET_NAME, "{}", OWN | {"latchkey:access": f"mediatailor/sourceLocation/{NAME}-2"})

    assert check(run) == {"secret.name": f"{secret} was made for another access: share it with existing"}


def test_even_our_own_secret_is_copied_only_with_consent(run: Run, account: Account) -> None:
    secret = account.secret("latchkey/origin/token", "{}", OURS)

    assert set(check(run, secret=copied(secret))) == {IMPORTED}


def test_a_region_that_does_not_exist_is_refused(run: Run) -> None:
    told = check(run, secret=copied(f"arn:aws:secretsmanager:us-east-9:{ACCOUNT}:secret:origin/token-AbCdEf"))

    assert told == {IMPORTED: "names a Region that does not exist"}


def test_what_changes_a_secret_for_all_is_refused_while_another_access_reads_it(run: Run, account: Account) -> None:
    secret = account.secret(SECRET_NAME, "{}", OWN, key=account.key())
    sharing = onboarding(secret=existing(secret, moveKey=True), resource={"sourceLocation": f"{NAME}-2"})
    run("check_request", to_check(sharing | {"requestId": "request-2"}))

    source = account.secret("origin/token", "{}", IMPORT)
    told = check(run, secret=copied(source, moveKey=True))

    others = f"of mediatailor/sourceLocation/{NAME}-2, which read the same secret"
    assert told == {
        "secret.value.copyFrom": f"would change the token {others}",
        "secret.moveKey": f"would move the key {others}",
    }


def test_a_secret_goes_again_to_a_host_it_goes_to(run: Run, account: Account, stack: Callable[..., None]) -> None:
    secret = account.secret("origin/token", "{}")
    record(run, account, secret, secret=existing(secret))

    stack(ALLOWED_ORIGIN_HOSTS="")

    another = onboarding(secret=existing(secret), resource={"sourceLocation": f"{NAME}-2"}) | {"requestId": "request-2"}
    assert run("check_request", to_check(another))["accessId"] == f"mediatailor/sourceLocation/{NAME}-2"


def test_our_own_secret_goes_to_no_new_host_either(run: Run, account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="")
    key = account.key(alias="alias/latchkey/mediatailor")
    record(run, account, account.secret(SECRET_NAME, "{}", OWN, key=key))

    told = check(run, resource={"baseUrl": "https://attacker.example.org/vod"})

    assert set(told) == {"resource.baseUrl"}


def test_a_secret_whose_policy_cannot_be_changed_for_deleted_principals_says_which_to_remove(
    run: Run, account: Account
) -> None:
    secret = account.secret("origin/token", "{}", ADOPT)
    reading = {"Effect": "Allow", "Principal": {"AWS": "AROAEXAMPLE1234567890"}, "Action": "secretsmanager:GetSecretValue"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [reading | {"Resource": "*"}]})
    account.secretsmanager.put_resource_policy(SecretId=secret, ResourcePolicy=policy)

    rules = check(run, secret=existing(secret))

    assert set(rules) == {ADOPTED}
    assert rules[ADOPTED].endswith("remove AROAEXAMPLE1234567890")
