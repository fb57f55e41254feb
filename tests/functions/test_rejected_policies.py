"""A policy that AWS rejects: it settles only if it names a principal that is minutes old."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.errors import Conflict, LatchkeyError, NotYetEffective
from latchkey.policies import KEY_VALIDATION
from tests.functions.account import ACCOUNT, ADOPT, ROOT, Account
from tests.functions.fault_injection import age_roles, answer_with_error, at_call
from tests.functions.lambda_runtime import ENVIRONMENT
from tests.functions.onboarding_requests import Run, onboarding

MALFORMED = "MalformedPolicyDocumentException"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
ROLES = {
    name: f"arn:aws:iam::{ACCOUNT}:role/{ENVIRONMENT[f'{name}_ROLE']}" for name in ("ATTACH", "CREATE_KEY", "REMOVE", "UNDO")
}
WRITERS = sorted(ROLES.values())
WHOLE = {"Sid": "Whole", "Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}
CREATION = {"Sid": "LatchkeyCreation", "Effect": "Allow", "Action": "kms:PutKeyPolicy", "Resource": "*"}


def _new_role(account: Account) -> str:
    return str(account.iam.create_role(RoleName="Manager", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"])


def _new_user(account: Account) -> str:
    return str(account.iam.create_user(UserName="Manager")["User"]["Arn"])


def _role_with_another_path(account: Account) -> str:
    return _new_role(account).replace(":role/", ":role/media/")


def _user_with_another_path(account: Account) -> str:
    return _new_user(account).replace(":user/", ":user/media/")


def _missing_role(_account: Account) -> str:
    return ROOT.replace(":root", ":role/Nobody")


def _old_role(account: Account) -> str:
    age_roles()
    return _new_role(account)


def _old_user(account: Account) -> str:
    age_roles()
    return _new_user(account)


PRINCIPALS: list[tuple[Callable[[Account], str], type[Exception]]] = [
    (_new_role, NotYetEffective),
    (_new_user, NotYetEffective),
    (_role_with_another_path, LatchkeyError),
    (_user_with_another_path, LatchkeyError),
    (_missing_role, LatchkeyError),
    (_old_role, LatchkeyError),
    (_old_user, LatchkeyError),
]


def _event(account: Account, *statements: dict[str, Any], **members: Any) -> dict[str, Any]:
    """An event of attach_policies for an owner's key, or for a key with these statements, and an owner's secret."""
    key = account.key(tags=ADOPT)
    document = {"Version": "2012-10-17", "Statement": [WHOLE, *statements]}
    account.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(document))
    secret = account.secret("origin/token", "{}", ADOPT, key=key)
    return {"request": onboarding(**members), "key": {"arn": key, "changed": False}, "secretArn": secret}


def _statements(account: Account, key: str) -> dict[str, Any]:
    policy = account.kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    return {statement["Sid"]: statement for statement in json.loads(policy)["Statement"]}


@pytest.mark.parametrize(("principal", "kind"), PRINCIPALS)
def test_a_rejected_policy_of_a_new_key_settles_only_for_a_new_principal(
    run: Run, account: Account, principal: Callable[[Account], str], kind: type[Exception]
) -> None:
    at_call("kms", "CreateKey", answer_with_error("CreateKey", MALFORMED))

    with pytest.raises(kind) as caught:
        run("create_key", {"request": onboarding(key={"users": [principal(account)]})})

    assert type(caught.value) is kind


@pytest.mark.parametrize(("principal", "kind"), PRINCIPALS)
def test_a_rejected_key_policy_settles_only_for_a_new_principal(
    run: Run, account: Account, principal: Callable[[Account], str], kind: type[Exception]
) -> None:
    event = _event(account, key={"users": [principal(account)]})
    at_call("kms", "PutKeyPolicy", answer_with_error("PutKeyPolicy", MALFORMED))

    with pytest.raises(kind) as caught:
        run("attach_policies", event)

    assert type(caught.value) is kind


@pytest.mark.parametrize(("principal", "kind"), [(_new_role, NotYetEffective), (_old_role, LatchkeyError)])
def test_a_rejected_policy_of_a_secret_settles_only_for_a_new_principal(
    run: Run, account: Account, principal: Callable[[Account], str], kind: type[Exception]
) -> None:
    event = _event(account, managementRoles=[principal(account)])
    at_call("secretsmanager", "PutResourcePolicy", answer_with_error("PutResourcePolicy", MALFORMED))

    with pytest.raises(kind) as caught:
        run("attach_policies", event)

    assert type(caught.value) is kind


def test_a_policy_that_would_lock_latchkey_out_is_a_conflict_that_names_its_writers(run: Run, account: Account) -> None:
    event = _event(account, managementRoles=[_new_role(account)])
    lockout = "The new key policy will not allow you to update the key policy in the future."
    at_call("kms", "PutKeyPolicy", answer_with_error("PutKeyPolicy", MALFORMED, message=lockout))

    with pytest.raises(Conflict) as caught:
        run("attach_policies", event)

    assert all(writer in str(caught.value) for writer in WRITERS)
    assert event["key"]["arn"] in str(caught.value)


def test_a_key_of_an_earlier_version_names_every_writer_after_the_next_change(run: Run, account: Account) -> None:
    event = _event(account, CREATION | {"Principal": {"AWS": ROLES["CREATE_KEY"]}})

    run("attach_policies", event)

    assert _statements(account, event["key"]["arn"])["LatchkeyCreation"]["Principal"] == {"AWS": WRITERS}


def test_the_key_of_an_owner_does_not_name_the_writers(run: Run, account: Account) -> None:
    event = _event(account)

    run("attach_policies", event)

    assert "LatchkeyCreation" not in _statements(account, event["key"]["arn"])


def test_the_key_policy_admits_the_check_of_secrets_manager(run: Run, account: Account) -> None:
    event = _event(account)

    run("attach_policies", event)

    decryption = _statements(account, event["key"]["arn"])["LatchkeySecretDecryption"]
    assert KEY_VALIDATION in decryption["Condition"]["StringLike"]["kms:EncryptionContext:SecretARN"]
