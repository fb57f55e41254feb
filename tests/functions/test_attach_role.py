"""attach_policies: the reader role is created, updated and completed, and foreign roles are kept."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.errors import Conflict, LatchkeyError, NotYetEffective, TransientAwsError
from latchkey.policies.reader_roles import POLICY_NAME
from tests.functions.account import ACCOUNT, OURS, REGION, Account
from tests.functions.fault_injection import age_roles, answer_with_error, at_call, lose_connection
from tests.functions.lambda_runtime import ENVIRONMENT
from tests.functions.onboarding_requests import PARTNER, Run, onboarding

BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/{ENVIRONMENT['READER_BOUNDARY']}"
ACCESS = "mediapackage/originEndpoint/live-hls"
FOREIGN = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
SYSTEMS = ["mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect"]


@pytest.fixture
def event(account: Account) -> dict[str, Any]:
    """The input for a MediaPackage access before its role exists."""
    return to_attach(account, "mediapackage")


def to_attach(account: Account, system: str) -> dict[str, Any]:
    key = account.key()
    secret = account.secret(f"latchkey/{system}/token", "{}", OURS, key=key)
    return {"request": onboarding(system), "key": {"arn": key, "changed": False}, "secretArn": secret}


def only_role(account: Account) -> tuple[str, dict[str, Any]]:
    """The name and the state of the only role."""
    [name] = [role["RoleName"] for role in account.iam.list_roles()["Roles"]]
    return name, account.role_state(name)


@pytest.mark.parametrize("system", SYSTEMS)
def test_only_the_service_can_assume_the_bounded_role_that_reads_one_secret(run: Run, account: Account, system: str) -> None:
    event = to_attach(account, system)

    assert run("attach_policies", event)["changed"] is True

    name, role = only_role(account)
    service = "mediapackage" if system == "mediapackage-vod" else system
    [trust] = role["trust"]["Statement"]
    assert trust["Principal"] == {"Service": f"{service}.amazonaws.com"}
    operator = "StringEquals" if system == "mediaconnect" else "StringEqualsIfExists"
    assert trust["Condition"] == {operator: {"aws:SourceAccount": ACCOUNT}}
    assert list(role["policies"]) == [POLICY_NAME]
    reading, decrypting, *_ = role["policies"][POLICY_NAME]["Statement"]
    assert (reading["Resource"], decrypting["Resource"]) == (event["secretArn"], event["key"]["arn"])
    assert decrypting["Action"] == "kms:Decrypt"
    assert decrypting["Condition"]["StringEquals"] == {
        "kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com",
        "kms:EncryptionContext:SecretARN": event["secretArn"],
    }
    assert role["boundary"] == BOUNDARY
    assert role["tags"]["latchkey:managed-by"] == "latchkey"
    assert role["tags"]["latchkey:request"] == "request-1"
    assert role["tags"]["latchkey:access"].startswith(f"{system}/")
    assert name.startswith(f"latchkey_{REGION}_{system}_")
    assert (len(name) <= 64, name != "MediaConnectAccessRole") == (True, True)


@pytest.mark.parametrize("system", SYSTEMS)
def test_attaching_twice_creates_one_role(run: Run, account: Account, system: str) -> None:
    event = to_attach(account, system)
    first = run("attach_policies", event)
    before = account.snapshot()

    assert run("attach_policies", event) == first, "a retry returns what its request created"
    assert account.snapshot() == before
    assert run("attach_policies", event | {"request": onboarding(system, requestId="request-2")}) == first | {"changed": False}
    assert account.snapshot() | {"table": []} == before | {"table": []}


def test_each_access_has_a_role_of_its_own(run: Run, account: Account, event: dict[str, Any]) -> None:
    run("attach_policies", event)
    run("attach_policies", event | {"request": onboarding("mediapackage", resource={"originEndpoint": "live-dash"})})

    assert len(account.iam.list_roles()["Roles"]) == 2


def _trust_another(account: Account, name: str) -> None:
    account.iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(TRUST))


def _widen(account: Account, name: str) -> None:
    account.iam.put_role_policy(RoleName=name, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(FOREIGN))


def _lose_policy(account: Account, name: str) -> None:
    account.iam.delete_role_policy(RoleName=name, PolicyName=POLICY_NAME)


def _lose_boundary(account: Account, name: str) -> None:
    account.iam.delete_role_permissions_boundary(RoleName=name)


@pytest.mark.parametrize("act", [_trust_another, _widen, _lose_policy, _lose_boundary])
def test_a_role_that_differs_is_updated(
    run: Run, account: Account, event: dict[str, Any], act: Callable[[Account, str], None]
) -> None:
    run("attach_policies", event)
    name, before = only_role(account)
    act(account, name)
    assert only_role(account) != (name, before)

    again = event | {"request": onboarding("mediapackage", requestId="request-2")}

    assert run("attach_policies", again)["changed"] is True
    assert only_role(account) == (name, before)
    assert run("attach_policies", again)["changed"] is False


def test_the_trust_policy_of_an_earlier_version_is_kept(run: Run, account: Account, event: dict[str, Any]) -> None:
    run("attach_policies", event)
    name, before = only_role(account)
    former = json.dumps(before["trust"]).replace("StringEqualsIfExists", "StringEquals")
    account.iam.update_assume_role_policy(RoleName=name, PolicyDocument=former)

    again = event | {"request": onboarding("mediapackage", requestId="request-2")}
    assert run("attach_policies", again)["changed"] is False
    assert only_role(account)[1]["trust"] == json.loads(former)

    other = account.secret("latchkey/another", "{}", OURS, key=event["key"]["arn"])
    assert run("attach_policies", event | {"secretArn": other})["changed"] is True
    assert only_role(account)[1]["trust"] == json.loads(former)


def test_a_role_reads_the_new_secret_after_its_access_changes_secrets(
    run: Run, account: Account, event: dict[str, Any]
) -> None:
    run("attach_policies", event)
    other = account.secret("latchkey/another", "{}", OURS, key=event["key"]["arn"])

    assert run("attach_policies", event | {"secretArn": other})["changed"] is True

    _, role = only_role(account)
    assert other in json.dumps(role["policies"])
    assert event["secretArn"] not in json.dumps(role["policies"])


def test_a_foreign_inline_policy_is_kept(run: Run, account: Account, event: dict[str, Any]) -> None:
    run("attach_policies", event)
    name, before = only_role(account)
    account.iam.put_role_policy(RoleName=name, PolicyName="Theirs", PolicyDocument=json.dumps(FOREIGN))
    _widen(account, name)

    run("attach_policies", event)

    assert only_role(account)[1]["policies"] == {**before["policies"], "Theirs": FOREIGN}


@pytest.mark.parametrize("tags", [{}, OURS | {"latchkey:access": "mediapackage/originEndpoint/another"}])
def test_a_role_of_another_access_is_a_conflict_and_is_kept(
    run: Run, account: Account, event: dict[str, Any], tags: dict[str, str]
) -> None:
    run("attach_policies", event)
    name, _ = only_role(account)
    account.iam.untag_role(RoleName=name, TagKeys=["latchkey:access", "latchkey:managed-by"])
    account.iam.tag_role(RoleName=name, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    _trust_another(account, name)
    before = account.snapshot()

    with pytest.raises(Conflict):
        run("attach_policies", event)

    assert account.snapshot() == before


@pytest.mark.parametrize(
    ("operation", "when"), [("CreateRole", "after-call"), ("PutRolePolicy", "before-call"), ("PutRolePolicy", "after-call")]
)
def test_a_retry_completes_a_role_that_a_crash_left_incomplete(
    run: Run, account: Account, event: dict[str, Any], operation: str, when: str
) -> None:
    at_call("iam", operation, lose_connection, when=when)
    with pytest.raises(TransientAwsError):
        run("attach_policies", event)

    assert run("attach_policies", event)["changed"] is True

    _, role = only_role(account)
    assert list(role["policies"]) == [POLICY_NAME]
    assert (role["boundary"], role["tags"]["latchkey:access"]) == (BOUNDARY, ACCESS)


@pytest.mark.parametrize("code", ["NoSuchEntity", "AccessDenied"])
def test_a_new_role_that_does_not_exist_everywhere_is_not_yet_effective(
    run: Run, account: Account, event: dict[str, Any], code: str
) -> None:
    at_call("iam", "PutRolePolicy", answer_with_error("PutRolePolicy", code, 404 if code == "NoSuchEntity" else 400))
    with pytest.raises(NotYetEffective):
        run("attach_policies", event)

    assert run("attach_policies", event)["changed"] is True
    assert list(only_role(account)[1]["policies"]) == [POLICY_NAME]


def test_an_old_role_that_was_deleted_is_not_waited_for(run: Run, account: Account, event: dict[str, Any]) -> None:
    run("attach_policies", event)
    name, _ = only_role(account)
    _widen(account, name)
    age_roles()
    at_call("iam", "PutRolePolicy", answer_with_error("PutRolePolicy", "NoSuchEntity", 404))

    with pytest.raises(LatchkeyError) as caught:
        run("attach_policies", event)

    assert type(caught.value) is LatchkeyError


def test_a_role_that_a_concurrent_attempt_created_is_read_by_the_retry(
    run: Run, account: Account, event: dict[str, Any]
) -> None:
    run("attach_policies", event)
    name, before = only_role(account)
    _lose_policy(account, name)
    account.iam.delete_role(RoleName=name)
    tags = [{"Key": key, "Value": value} for key, value in before["tags"].items()]
    made = {"RoleName": name, "AssumeRolePolicyDocument": json.dumps(before["trust"]), "Tags": tags}
    at_call("iam", "CreateRole", lambda: account.iam.create_role(**made))

    with pytest.raises(TransientAwsError):
        run("attach_policies", event)

    assert run("attach_policies", event)["changed"] is True
    assert only_role(account) == (name, before)


def test_policies_do_not_name_a_service_that_assumes_a_role(run: Run, account: Account, event: dict[str, Any]) -> None:
    before = account.snapshot()

    run("attach_policies", event)

    after = account.snapshot()
    # The reference to the role is recorded before the role is created.
    assert {part for part in before if after[part] != before[part]} == {"roles", "table"}


def test_a_partner_key_allows_the_partner_accounts_and_needs_no_role(run: Run, account: Account) -> None:
    key = account.key()
    request = onboarding("adobe-experience-platform")
    event = {"request": request, "key": {"arn": key, "changed": True}, "secretArn": None}

    attached = run("attach_policies", event)
    assert (attached["arn"], attached["changed"]) == (key, True)
    before = account.snapshot()

    assert run("attach_policies", event)["changed"] is False
    assert account.snapshot() == before
    assert account.iam.list_roles()["Roles"] == []
    statements = json.loads(before["keys"][key]["policy"])["Statement"]
    admitted = [s["Principal"]["AWS"] for s in statements if s["Sid"].startswith("LatchkeyPartner")]
    assert admitted == [[f"arn:aws:iam::{PARTNER}:root"]]
