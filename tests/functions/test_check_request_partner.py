"""check_request: the rules for the key of an Adobe Experience Platform instance."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.functions.account import ACCOUNT, ADOPT, OURS, REGION, Account
from tests.functions.lambda_runtime import ENVIRONMENT
from tests.functions.onboarding_requests import (
    EXECUTION,
    PARTNER,
    Run,
    check_event,
    check_rejection,
    onboarding,
    partner,
    rejected_paths,
    rejection,
)
from tests.functions.onboarding_steps import Onboarding

ADOBE = "adobe-experience-platform"
ACCESS = f"{ADOBE}/instance/{REGION}"
ALIAS = f"alias/latchkey/{ADOBE}/{REGION}"
OTHER_PARTNER = "444455556666"
CREATING = ["kms:CreateKey", "kms:TagResource", "kms:CreateAlias", "kms:DescribeKey", "kms:EnableKeyRotation"]


@pytest.fixture(autouse=True)
def allowed(stack: Callable[..., None]) -> None:
    stack(ALLOWED_PARTNER_ACCOUNTS=PARTNER, ALLOWED_ORIGIN_HOSTS="*")


def adobe(**members: Any) -> dict[str, Any]:
    return check_event(onboarding(ADOBE, **members))


def test_a_valid_partner_request_needs_only_a_key_and_a_second_check_changes_nothing(run: Run, account: Account) -> None:
    checked = run("check_request", adobe())
    before = account.snapshot()

    assert checked == {
        "accessId": ACCESS,
        "confirms": False,
        "changed": False,
        "restores": False,
        "valueToCheck": False,
        "ownSecretArn": None,
        "needsSecret": False,
        "hasResource": False,
        "staged": False,
        "checksFirst": False,
        "companions": [],
        "movedIds": [],
        "moves": False,
        "keyArn": None,
        "secretArn": None,
        "toPlan": False,
        "planOnly": False,
        "replacesValue": None,
    }
    assert run("check_request", adobe()) == checked
    after = account.snapshot()
    assert {part for part in before if after[part] != before[part]} <= {"table"}
    assert account.items("resource") == []


def test_a_partner_account_that_the_stack_does_not_allow_is_rejected(run: Run) -> None:
    statements = [partner(OTHER_PARTNER), partner(PARTNER)]

    assert rejected_paths(run, system=ADOBE, resource={"partnerStatements": statements}) == {
        "resource.partnerStatements.0.Principal.AWS"
    }


def test_an_instance_in_another_region_is_rejected(run: Run) -> None:
    assert rejected_paths(run, system=ADOBE, resource={"instanceRegion": "eu-west-1"}) == {"resource.instanceRegion"}


@pytest.mark.parametrize("action", CREATING)
def test_a_partner_key_that_cannot_be_created_is_rejected(run: Run, account: Account, action: str) -> None:
    account.simulator.refused = {action}

    assert rejected_paths(run, system=ADOBE) == {"key"}


def test_key_creation_is_simulated_with_the_tags_of_the_key(run: Run, account: Account) -> None:
    run("check_request", adobe())

    contexts = [
        (asked["PolicySourceArn"], {entry["ContextKeyName"]: entry["ContextKeyValues"] for entry in asked["ContextEntries"]})
        for asked in account.simulator.asked
    ]
    role = f"arn:aws:iam::{ACCOUNT}:role/{ENVIRONMENT['CREATE_KEY_ROLE']}"
    assert contexts == [
        (role, {"aws:RequestTag/latchkey:managed-by": ["latchkey"]}),
        (role, {"aws:ResourceTag/latchkey:managed-by": ["latchkey"]}),
    ]


def test_an_existing_partner_key_does_not_have_to_be_created(run: Run, account: Account) -> None:
    account.key(alias=ALIAS)
    account.simulator.refused = set(CREATING)

    assert run("check_request", adobe())["accessId"] == ACCESS


@pytest.mark.parametrize("member", ["users", "administrators"])
def test_a_partner_key_has_no_other_principals_of_other_accounts(run: Run, stack: Callable[..., None], member: str) -> None:
    stack(TRUSTED_PRINCIPAL_PATTERNS=f"arn:aws:iam::{PARTNER}:role/*")

    rejected = check_rejection(run, system=ADOBE, key={member: [f"arn:aws:iam::{PARTNER}:role/Reader"]})

    assert set(rejected) == {f"key.{member}.0"}


@pytest.mark.parametrize("by", ["denied", "beyond_boundary"])
def test_a_key_user_whose_own_policies_deny_the_use_is_rejected(run: Run, account: Account, by: str) -> None:
    user = account.role("Users", "/media/")
    setattr(account.simulator, by, {"kms:GenerateDataKey"})

    rejected = check_rejection(run, system=ADOBE, key={"users": [user]})

    # The simulator answers for every principal; key creation does not need this action.
    assert set(rejected) == {"key.users.0"}


def test_a_key_user_needs_no_policies_of_its_own(run: Run, account: Account) -> None:
    user = account.role("Users", "/media/")
    account.simulator.refused = {"kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"}

    assert run("check_request", adobe(key={"users": [user]}))["accessId"] == ACCESS


def test_a_partner_request_has_no_secret_and_no_management_roles(run: Run) -> None:
    assert rejected_paths(run, system=ADOBE, secret={"value": {"generate": {}}}) == {"detail"}
    rejected = check_rejection(run, system=ADOBE, managementRoles=[f"arn:aws:iam::{ACCOUNT}:role/media/Management"])
    assert set(rejected) == {"detail"}


def shared(run: Run, account: Account, **members: Any) -> Onboarding:
    """A MediaTailor access that uses the key of the alias of the instance."""
    key = account.key(alias=ALIAS, tags=OURS)
    # A key that is named by its ARN is Latchkey's while an access refers to it.
    account.note("resource", key, accesses={"mediatailor/sourceLocation/first"})
    return Onboarding(run, account, key={"arn": key}, **members).run_through("record_access")


def test_a_key_that_serves_another_access_is_not_given_to_a_partner(run: Run, account: Account) -> None:
    shared(run, account)

    assert set(rejection(run, "check_request", adobe(requestId="request-2"))) == {"key.alias"}


def test_a_key_with_grants_is_not_given_to_a_partner(run: Run, account: Account) -> None:
    account.grant(account.key(alias=ALIAS, tags=OURS), "theirs", "a secret")

    assert rejected_paths(run, system=ADOBE) == {"key.alias"}


def test_an_adopted_key_is_not_given_to_a_partner(run: Run, account: Account) -> None:
    rejected = check_rejection(run, system=ADOBE, key={"arn": account.key(tags=ADOPT)})

    assert set(rejected) == {"key.arn"}


@pytest.mark.parametrize("alias", ["alias/another", "alias/latchkey/mediatailor"])
def test_a_partner_key_has_an_alias_under_its_system(run: Run, alias: str) -> None:
    assert rejected_paths(run, system=ADOBE, key={"alias": alias}) == {"key.alias"}


def test_a_partner_statement_of_another_partition_is_rejected(run: Run) -> None:
    statements = json.loads(json.dumps(adobe()["request"]["resource"]["partnerStatements"]).replace("arn:aws:", "arn:aws-cn:"))

    rejected = check_rejection(run, system=ADOBE, resource={"partnerStatements": statements})

    assert set(rejected) == {"resource.partnerStatements.0.Principal.AWS"}


def test_a_request_that_omits_a_partner_with_the_key_is_rejected(run: Run, account: Account) -> None:
    access = handed_off(run, account)
    statements = adobe()["request"]["resource"]["partnerStatements"]
    other = json.loads(json.dumps(statements[:1]).replace(PARTNER, OTHER_PARTNER))

    rejected = check_rejection(run, system=ADOBE, requestId="request-2", resource={"partnerStatements": other})

    assert "resource.partnerStatements" in rejected
    assert access.key in account.snapshot()["keys"]


def handed_off(run: Run, account: Account, **members: Any) -> Onboarding:
    """A handed-off Adobe access."""
    return Onboarding(run, account, system=ADOBE, **members).run_through("record_access")


@pytest.mark.parametrize("by", ["alias", "arn"])
def test_the_key_of_a_partner_serves_no_other_access(run: Run, account: Account, by: str) -> None:
    access = handed_off(run, account)
    key = {"alias": ALIAS} if by == "alias" else {"arn": access.key}
    before = account.snapshot()

    rejected = check_rejection(run, requestId="request-2", key=key)

    assert set(rejected) == {f"key.{by}"}
    after = account.snapshot()
    assert {part for part in before if after[part] != before[part]} == {"table"}


def test_two_instances_do_not_share_a_key(run: Run, account: Account) -> None:
    handed_off(run, account)

    rejected = check_rejection(run, system=ADOBE, requestId="request-2", resource={"instance": "second"}, key={"alias": ALIAS})

    assert set(rejected) == {"key.alias"}


@pytest.mark.parametrize("by", ["alias", "arn"])
def test_an_instance_keeps_its_key(run: Run, account: Account, by: str) -> None:
    handed_off(run, account)
    key = {"alias": f"{ALIAS}-2"} if by == "alias" else {"arn": account.key(tags=OURS)}

    rejected = check_rejection(run, system=ADOBE, requestId="request-2", key=key)

    assert set(rejected) == {f"key.{by}"}


def test_a_repeated_request_for_a_partner_key_with_grants_passes(run: Run, account: Account) -> None:
    access = handed_off(run, account)
    account.grant(access.key, "of Adobe", "a secret")

    assert run("check_request", adobe(requestId="request-2"))["accessId"] == ACCESS


@pytest.mark.parametrize("change", ["wildcard", "other action", "no condition", "other condition", "twice"])
def test_a_partner_statement_that_differs_from_adobes_is_rejected(run: Run, change: str) -> None:
    statement = partner(PARTNER)
    statements = {
        "wildcard": [statement | {"Principal": {"AWS": "*"}}],
        "other action": [statement | {"Action": [*statement["Action"], "kms:PutKeyPolicy"]}],
        "no condition": [{name: value for name, value in statement.items() if name != "Condition"}],
        "other condition": [statement | {"Condition": {"StringEquals": {"aws:PrincipalAccount": OTHER_PARTNER}}}],
        "twice": [statement, statement],
    }[change]

    rejected = check_rejection(run, system=ADOBE, resource={"partnerStatements": statements})

    assert rejected
    assert all(place.startswith("resource.partnerStatements") for place in rejected)
    assert OTHER_PARTNER not in json.dumps(rejected)


def test_a_confirmation_returns_the_recorded_access_and_applies_no_rules(run: Run, account: Account) -> None:
    access = handed_off(run, account)
    account.simulator.refused = set(CREATING)
    event = adobe(requestId="request-2") | {"confirms": True, "executionArn": f"{EXECUTION}-2"}
    checked = run("check_request", event)

    assert checked == {
        "accessId": ACCESS,
        "confirms": True,
        "changed": True,
        "restores": False,
        "valueToCheck": False,
        "ownSecretArn": None,
        "needsSecret": False,
        "hasResource": False,
        "staged": False,
        "checksFirst": False,
        "companions": [],
        "movedIds": [],
        "moves": False,
        "keyArn": access.key,
        "secretArn": None,
        "toPlan": False,
        "planOnly": False,
        "replacesValue": None,
    }
    assert run("check_request", event) == checked


def test_a_confirmation_of_a_request_that_changed_is_rejected(run: Run, account: Account) -> None:
    handed_off(run, account)
    event = adobe(requestId="request-2", tags={"team": "other"}) | {"confirms": True, "executionArn": f"{EXECUTION}-2"}

    rejected = rejection(run, "check_request", event)

    assert set(rejected) == {"accessId"}


def test_a_confirmation_without_a_handoff_is_rejected(run: Run) -> None:
    assert set(rejection(run, "check_request", adobe() | {"confirms": True})) == {"accessId"}
