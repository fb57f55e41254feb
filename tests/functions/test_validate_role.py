"""validate_access: the checks of the reader role."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.errors import AccessNotEffective, LatchkeyError, NotYetEffective
from tests.functions.account import ACCOUNT, Account
from tests.functions.onboarding_requests import Run, role_name_of
from tests.functions.onboarding_steps import Onboarding

SYSTEMS = ["mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect"]
WIDE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ROLE, NARROW = "mediapackage", {"role reads this secret and nothing else"}


@pytest.fixture(autouse=True)
def there(account: Account) -> None:
    account.add_resources()


def to_validate(run: Run, account: Account, system: str) -> dict[str, Any]:
    """The input after all earlier steps."""
    made = Onboarding(run, account, system=system).run_through()
    return {"request": made.request, "keyArn": made.key, "secretArn": made.secret}


@pytest.mark.parametrize("system", SYSTEMS)
def test_an_access_with_a_role_passes_every_check_and_a_second_validation_changes_nothing(
    run: Run, account: Account, system: str
) -> None:
    event = to_validate(run, account, system)
    before = account.snapshot()

    validated = run("validate_access", event)

    assert (validated["detailType"], validated["status"], validated["handoff"]) == ("Access Onboarded", "active", None)
    assert [check["name"] for check in validated["checks"] if not check["passed"]] == []
    names = {check["name"] for check in validated["checks"]}
    assert {"role trusts the service", "role may read the secret", "resource is configured", *NARROW} <= names
    assert "grant is there" not in names
    assert validated["resources"]["roleArn"] == f"arn:aws:iam::{ACCOUNT}:role/{role_name_of(system)}"
    assert run("validate_access", event) == validated
    assert account.snapshot() == before


def _delete(account: Account, name: str) -> None:
    account.iam.delete_role_policy(RoleName=name, PolicyName="ReadOneSecret")
    account.iam.delete_role(RoleName=name)


def _trust_another(account: Account, name: str) -> None:
    account.iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(TRUST))


def _widen(account: Account, name: str) -> None:
    account.iam.put_role_policy(RoleName=name, PolicyName="ReadOneSecret", PolicyDocument=json.dumps(WIDE))


def _add_inline(account: Account, name: str) -> None:
    account.iam.put_role_policy(RoleName=name, PolicyName="Theirs", PolicyDocument=json.dumps(WIDE))


def _attach(account: Account, name: str) -> None:
    arn = account.iam.create_policy(PolicyName="Theirs", PolicyDocument=json.dumps(WIDE))["Policy"]["Arn"]
    account.iam.attach_role_policy(RoleName=name, PolicyArn=arn)


def _unbind(account: Account, name: str) -> None:
    account.iam.delete_role_permissions_boundary(RoleName=name)


def _refuse_decrypting(account: Account, _name: str) -> None:
    account.simulator.refused = {"kms:Decrypt"}


@pytest.mark.parametrize(
    ("act", "error", "checks"),
    [
        (_delete, AccessNotEffective, {"role exists"}),
        (_trust_another, AccessNotEffective, {"role trusts the service"}),
        (_widen, AccessNotEffective, NARROW),
        (_add_inline, AccessNotEffective, NARROW),
        (_attach, AccessNotEffective, NARROW),
        (_unbind, AccessNotEffective, NARROW),
        (_refuse_decrypting, NotYetEffective, {"role may read the secret"}),
    ],
)
def test_a_flaw_of_the_role_fails_its_check(
    run: Run, account: Account, act: Callable[[Account, str], None], error: type[LatchkeyError], checks: set[str]
) -> None:
    event = to_validate(run, account, ROLE)
    act(account, role_name_of(ROLE))

    with pytest.raises(LatchkeyError) as caught:
        run("validate_access", event)

    assert type(caught.value) is error
    assert {check["check"] for check in json.loads(str(caught.value))["failed"]} == checks
