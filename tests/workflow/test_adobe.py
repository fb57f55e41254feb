"""The key of an Adobe instance: created, shared, handed off, guarded and never changed afterwards."""

import json
import uuid
from collections.abc import Callable

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded, until
from tests.workflow.consumer_resources import PARTNERS, adobe_detail, partner_statement
from tests.workflow.fault_injection import Detail
from tests.workflow.onboarding import MANAGER, Onboarding

PERSON = f"arn:aws:iam::{ACCOUNT}:role/Origin"


def _hand_off(onboarding: Onboarding, detail: Detail) -> Detail:
    event = onboarding.send(detail)
    assert event["detail-type"] == "Access Handed Off", json.dumps(event["detail"], indent=2)
    result: Detail = event["detail"]
    return result


def _confirm(onboarding: Onboarding, access_id: str) -> Detail:
    request_id = f"confirm-{uuid.uuid4().hex[:12]}"
    onboarding.put({"requestId": request_id, "accessId": access_id}, "Handoff Confirmed")
    result: Detail = onboarding.outcomes.wait_for(request_id, 60)["detail"]
    return result


def test_owner_keeps_full_control_of_a_key_shared_with_adobe(onboarding: Onboarding) -> None:
    key = {"administrators": [PERSON], "users": [PERSON], "allowDeletion": True, "rotationDays": 180}
    result = _hand_off(onboarding, adobe_detail() | {"key": key, "tags": {"team": "marketing"}})

    arn = result["resources"]["keyArn"]
    statements = {statement["Sid"]: statement for statement in onboarding.key_policy(arn)["Statement"]}
    # Adobe's first statement has the same Sid as the owner's statement.
    assert statements["EnableIAMUserPermissions"]["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    assert {account: statements[f"LatchkeyPartner{account}"]["Condition"] for account in PARTNERS} == {
        account: {"StringEquals": {"aws:PrincipalAccount": account}} for account in PARTNERS
    }
    assert {"LatchkeyAdministrators", "LatchkeyDeletion", "LatchkeyUsers"} <= statements.keys()
    metadata = onboarding.kms.describe_key(KeyId=arn)["KeyMetadata"]
    assert (metadata["KeySpec"], metadata["KeyUsage"], metadata["MultiRegion"]) == (
        "SYMMETRIC_DEFAULT",
        "ENCRYPT_DECRYPT",
        False,
    )
    assert metadata["Description"]
    assert onboarding.kms.get_key_rotation_status(KeyId=arn)["RotationPeriodInDays"] == 180
    assert {"TagKey": "team", "TagValue": "marketing"} in onboarding.kms.list_resource_tags(KeyId=arn)["Tags"]
    assert result["handoff"]["values"] == {"KMS key ARN": arn, "Region": "us-east-1"}
    assert "secretArn" not in result["resources"]


def test_confirmation_activates_a_handed_off_adobe_key(onboarding: Onboarding) -> None:
    detail = adobe_detail()
    result = _hand_off(onboarding, detail)

    assert _confirm(onboarding, result["accessId"])["status"] == "active"
    assert _confirm(onboarding, result["accessId"])["status"] == "unchanged"
    again = _hand_off(onboarding, detail | {"requestId": f"again-{uuid.uuid4().hex[:8]}"})
    assert (again["status"], again["changed"], again["resources"]) == ("unchanged", False, result["resources"])


def test_three_concurrent_requests_create_one_key(onboarding: Onboarding) -> None:
    detail = adobe_detail()
    requests = [detail | {"requestId": f"at-once-{uuid.uuid4().hex[:8]}"} for _ in range(3)]
    for request in requests:
        onboarding.put(request)
    outcomes = [onboarding.outcomes.wait_for(request["requestId"], 60)["detail"] for request in requests]

    assert sorted(outcome["status"] for outcome in outcomes) == ["handed-off", "unchanged", "unchanged"]
    assert len({outcome["resources"]["keyArn"] for outcome in outcomes}) == 1


def _statements(change: Callable[[Detail], object]) -> Detail:
    statement = partner_statement(PARTNERS[0])
    change(statement)
    return adobe_detail(partnerStatements=[statement])


WRONG: dict[str, tuple[Detail, str]] = {
    "a wildcard principal": (_statements(lambda s: s.update(Principal={"AWS": "*"})), "Principal.AWS"),
    "every account": (_statements(lambda s: s.update(Principal="*")), "Principal"),
    "an account that nobody allowed": (adobe_detail(partnerStatements=[partner_statement("210987654321")]), "Principal.AWS"),
    "another action": (_statements(lambda s: s["Action"].append("kms:PutKeyPolicy")), "Action"),
    "every action": (_statements(lambda s: s.update(Action=["kms:*"])), "Action"),
    "a condition on another account": (
        _statements(lambda s: s.update(Condition={"StringEquals": {"aws:PrincipalAccount": PARTNERS[1]}})),
        "partnerStatements",
    ),
    "no condition": (_statements(lambda s: s.pop("Condition")), "Condition"),
    "another Region": (adobe_detail(instanceRegion="eu-west-1"), "resource.instanceRegion"),
    "a secret": (adobe_detail() | {"secret": {}}, "detail"),
    "a user of another account": (
        adobe_detail() | {"key": {"users": ["arn:aws:iam::111122223333:role/Theirs"]}},
        "key.users.0",
    ),
}


@pytest.mark.parametrize(("detail", "place"), WRONG.values(), ids=WRONG)
def test_partner_statements_that_adobe_does_not_document_are_rejected(
    onboarding: Onboarding, detail: Detail, place: str
) -> None:
    before = onboarding.account_snapshot()

    result = onboarding.reject(detail | {"requestId": f"wrong-{uuid.uuid4().hex[:8]}"})

    assert any(place in named for named in result), result
    assert onboarding.account_snapshot() == before


def test_adobe_key_is_exclusive_to_one_instance(onboarding: Onboarding) -> None:
    alias = f"alias/latchkey/adobe-experience-platform/{uuid.uuid4().hex[:8]}"
    detail = adobe_detail() | {"key": {"alias": alias}}
    result = _hand_off(onboarding, detail)
    _confirm(onboarding, result["accessId"])
    shared = onboarding.onboard(onboarding.detail())["resources"]["keyArn"]
    theirs = adobe_detail() | {"key": {"arn": onboarding.new_key()}}
    squatting = adobe_detail() | {"key": {"alias": "alias/latchkey/mediatailor"}}
    before = onboarding.account_snapshot()

    assert onboarding.rejected_paths(onboarding.detail(key={"alias": alias})) == {"key.alias"}
    assert onboarding.rejected_paths(onboarding.detail(key={"arn": result["resources"]["keyArn"]})) == {"key.arn"}
    assert onboarding.rejected_paths(adobe_detail() | {"key": {"arn": shared}}) == {"key.arn"}
    assert onboarding.rejected_paths(theirs) == {"key.arn"}
    assert onboarding.rejected_paths(squatting) == {"key.alias"}
    other = adobe_detail(instance=detail["resource"]["instance"]) | {"key": {"alias": f"{alias}-2"}}
    assert onboarding.rejected_paths(other) == {"key.alias"}
    assert onboarding.rejected_paths(adobe_detail() | {"key": {"alias": alias}}) == {"key.alias"}
    assert onboarding.account_snapshot() == before


def test_requests_and_undo_never_remove_a_partner_from_a_used_key(onboarding: Onboarding, aws: Embedded) -> None:
    detail = adobe_detail()
    result = _hand_off(onboarding, detail)
    _confirm(onboarding, result["accessId"])
    arn = result["resources"]["keyArn"]
    policy = onboarding.key_policy(arn)

    fewer = adobe_detail(instance=detail["resource"]["instance"], partnerStatements=[partner_statement(PARTNERS[0])])
    assert onboarding.rejected_paths(fewer) == {"resource.partnerStatements"}
    assert onboarding.key_policy(arn) == policy

    failing = detail | {"requestId": f"failing-{uuid.uuid4().hex[:8]}"}
    fault = {"service": "kms", "operation": "GetKeyRotationStatus", "error": "SomethingInvalid", "times": 100}
    aws.control("POST", "faults", fault | {"request": failing["requestId"]})
    assert onboarding.send(failing)["detail"]["status"] == "failed"
    assert onboarding.key_policy(arn) == policy
    assert onboarding.kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] == "Enabled"


def test_confirmation_does_not_restore_a_partner_that_the_owner_removed(onboarding: Onboarding) -> None:
    result = _hand_off(onboarding, adobe_detail())
    arn = result["resources"]["keyArn"]
    policy = onboarding.key_policy(arn)
    taken = [statement for statement in policy["Statement"] if "Partner" not in statement["Sid"]]
    onboarding.kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=json.dumps(policy | {"Statement": taken}))

    assert _confirm(onboarding, result["accessId"])["status"] == "failed"

    assert onboarding.key_policy(arn)["Statement"] == taken


@pytest.mark.parametrize("told_by", ["the trail", "the sweep"])
@pytest.mark.parametrize("taken", ["disabled", "scheduled for deletion"])
def test_key_taken_from_adobe_is_reported_and_not_changed(
    onboarding: Onboarding, assume: Callable[..., None], taken: str, told_by: str
) -> None:
    result = _hand_off(onboarding, adobe_detail())
    _confirm(onboarding, result["accessId"])
    arn = result["resources"]["keyArn"]
    name = f"MediaTailor-SourceLocation-{ACCOUNT}-nowhere"
    grant = onboarding.kms.create_grant(
        KeyId=arn, GranteePrincipal="mediatailor.amazonaws.com", Operations=["Decrypt"], Name=name
    )["GrantId"]
    policy = onboarding.key_policy(arn)
    assume(trail={"lose": int(told_by == "the sweep")})

    if taken == "disabled":
        onboarding.kms.disable_key(KeyId=arn)
    else:
        onboarding.kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    if told_by == "the sweep":
        onboarding.put({}, "Reconciliation Requested")

    def revoked() -> list[Detail]:
        events = [event for event in onboarding.outcomes.all() if event["detail-type"] == "Access Revoked"]
        return [event["detail"] for event in events if event["detail"]["accessId"] == result["accessId"]]

    [notice] = until(revoked, "the notice") or []
    assert [check["name"] for check in notice["lost"]] == ["key is enabled"]
    assert onboarding.key_policy(arn) == policy
    assert [one["GrantId"] for one in onboarding.grants(arn)] == [grant]
    state = onboarding.kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"]
    assert state == ("Disabled" if taken == "disabled" else "PendingDeletion")


def test_key_user_whose_policies_deny_the_key_is_rejected(onboarding: Onboarding) -> None:
    iam, name = onboarding.aws.client("iam"), f"Forbidden-{uuid.uuid4().hex[:8]}"
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}))[
        "Role"
    ]["Arn"]
    deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "kms:Encrypt", "Resource": "*"}]}
    iam.put_role_policy(RoleName=name, PolicyName="Deny", PolicyDocument=json.dumps(deny))

    rules = onboarding.reject(adobe_detail() | {"key": {"users": [arn]}})
    assert set(rules) == {"key.users.0"}
    assert "kms:Encrypt" in rules["key.users.0"]
    assert onboarding.reject(adobe_detail() | {"managementRoles": [MANAGER]})
