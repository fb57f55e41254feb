"""plan_access: what a request would do, computed by its own steps, without a change and without a lock."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.aws import clients
from latchkey.aws.planned import PlannedChanges
from latchkey.errors import InvalidRequest, LatchkeyError, NotYetEffective
from latchkey.registry import registry
from latchkey.registry.requests import RequestRef
from latchkey.settings import settings
from tests.functions.account import ACCOUNT, Account
from tests.functions.onboarding_requests import (
    EXECUTION,
    NAME,
    PARTNER,
    RESOURCES,
    Run,
    check_event,
    copied,
    existing,
    onboarding,
    role_name_of,
)
from tests.functions.onboarding_steps import Onboarding, policy

SYSTEMS = [*RESOURCES]
ADOPT, IMPORT = {"latchkey:consent": "adopt"}, {"latchkey:consent": "import"}
TOKEN = json.dumps({"MyAccessTokenIdentifier": "0123456789abcdef"})


@pytest.fixture(autouse=True)
def live_resources(account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*", ALLOWED_PARTNER_ACCOUNTS=PARTNER, TRUSTED_PRINCIPAL_PATTERNS="*")
    account.add_resources()


def to_plan(run: Run, request: dict[str, Any], **members: Any) -> dict[str, Any]:
    """The input of plan_access for a request that is only planned, after check_request."""
    planned = {"mode": "plan", **request, "requestId": f"{request['requestId']}-plan"}
    event = check_event(planned, executionArn=f"{EXECUTION}-plan", **members)
    return {name: value for name, value in event.items() if name not in ("findings", "replacesValue")} | {
        "checked": run("check_request", event)
    }


def plan(run: Run, request: dict[str, Any], **members: Any) -> dict[str, Any]:
    return run("plan_access", to_plan(run, request, **members))


def operations(planned: dict[str, Any]) -> dict[str, int]:
    return {call["operation"]: call["count"] for call in planned["calls"]}


def actions(planned: dict[str, Any]) -> dict[str, str]:
    return {change["kind"]: change["action"] for change in planned["changes"]}


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_plan_changes_nothing_but_the_record_of_its_request(run: Run, account: Account, system: str) -> None:
    before = account.snapshot()

    planned = plan(run, onboarding(system))

    after = account.snapshot()
    assert [item["kind"]["S"] for item in after.pop("table")] == ["request"]
    assert before.pop("table") == []
    assert after == before
    assert operations(planned)["kms:CreateKey"] == 1
    assert set(actions(planned).values()) <= {"create", "update"}
    assert planned["permissions"] == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_an_access_that_is_as_requested_has_an_empty_plan(run: Run, account: Account, system: str) -> None:
    made = Onboarding(run, account, system=system).run_through("record_access")
    if system == "mediatailor":
        account.grant(made.key, f"MediaTailor-SourceLocation-{ACCOUNT}-{NAME}", made.secret)

    planned = plan(run, onboarding(system))

    assert planned["calls"] == []
    assert set(actions(planned).values()) == {"none"}
    assert planned["monthlyCost"] == 0


def test_a_plan_waits_for_the_request_that_has_the_access(run: Run, account: Account) -> None:
    Onboarding(run, account, requestId="request-0").run_through("check_request")

    with pytest.raises(NotYetEffective, match="request-0"):
        to_plan(run, onboarding())


def test_a_plan_starts_again_if_another_request_begins_meanwhile(
    run: Run, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    event, holders = to_plan(run, onboarding()), iter([None, EXECUTION])
    monkeypatch.setattr("latchkey.registry.planned.PlannedRegistry.present_holder", lambda *_: next(holders))

    with pytest.raises(NotYetEffective):
        run("plan_access", event)


def test_a_plan_without_a_request_is_rejected(run: Run) -> None:
    event = to_plan(run, onboarding())

    with pytest.raises(InvalidRequest):
        run("plan_access", event | {"request": None})


@pytest.mark.parametrize(("replaces", "calls"), [(True, 1), (False, 0)])
def test_the_value_check_decides_whether_a_token_is_copied(run: Run, account: Account, replaces: bool, calls: int) -> None:
    source = account.secret("origin/token", TOKEN, IMPORT)
    request = onboarding(secret=copied(source, "MyAccessTokenIdentifier"))
    Onboarding(run, account, secret=request["secret"]).run_through("record_access")
    if replaces:
        account.secretsmanager.put_secret_value(SecretId=source, SecretString=TOKEN.replace("abc", "xyz"))

    found = run("create_secret", {"request": {**request, "mode": "plan"}})
    planned = plan(run, request, replacesValue=found["replacesValue"])

    assert found["replacesValue"] is replaces
    assert operations(planned).get("secretsmanager:PutSecretValue", 0) == calls
    assert "0123456789" not in json.dumps(planned)


def test_nothing_more_is_read_about_the_value_of_a_request_without_a_plan(run: Run, account: Account) -> None:
    request = onboarding(secret=copied(account.secret("origin/token", TOKEN, IMPORT), "MyAccessTokenIdentifier"))

    assert run("create_secret", {"request": request})["replacesValue"] is None
    assert run("create_secret", {"request": {**request, "mode": "plan"}})["replacesValue"] is None


def test_an_adopted_key_and_secret_are_adopted(run: Run, account: Account) -> None:
    key = account.key(ADOPT)
    request = onboarding(key={"arn": key}, secret=existing(account.secret("origin/token", TOKEN, ADOPT)))

    planned = plan(run, request)

    assert (actions(planned)["key"], actions(planned)["secret"]) == ("adopt", "adopt")
    assert operations(planned)["kms:PutKeyPolicy"] == operations(planned)["secretsmanager:UpdateSecret"] == 1


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_permission_that_a_function_lacks_is_named_with_its_role(run: Run, account: Account, system: str) -> None:
    event = to_plan(run, onboarding(system))
    account.simulator.refused = {"kms:CreateKey", "secretsmanager:PutResourcePolicy"}

    planned = run("plan_access", event)

    missing = {(one["action"], one["principal"].rpartition("/")[2]) for one in planned["permissions"]}
    assert {action for action, _ in missing} == account.simulator.refused & {one["operation"] for one in planned["calls"]}
    assert all(role for _, role in missing)


def test_every_simulated_resource_is_an_arn_without_a_pattern(run: Run, account: Account) -> None:
    plan(run, onboarding("mediapackage"))

    resources = {arn for asked in account.simulator.asked for arn in asked["ResourceArns"]}
    assert len(resources) > 3
    assert all(arn == "*" or (arn.startswith("arn:") and "?" not in arn) for arn in resources)


@pytest.fixture
def manager(account: Account) -> str:
    return account.role("Manager")


def test_what_a_management_role_is_denied_is_named(run: Run, account: Account, manager: str) -> None:
    event = to_plan(run, onboarding(managementRoles=[manager]))
    account.simulator.denied = {"kms:CreateGrant"}

    planned = run("plan_access", event)

    denied = {one["principal"].rpartition("/")[2]: one["action"] for one in planned["permissions"]}
    assert denied == {"Manager": "kms:CreateGrant", "latchkey-ConfigureAccessFunctionRole": "kms:CreateGrant"}


def report(run: Run, account: Account, planned: dict[str, Any], **members: Any) -> None:
    account.open_bus()
    known = {"requestId": "request-1-plan", "contentHash": "c" * 64, "executionArn": f"{EXECUTION}-plan", "tenant": "default"}
    about = {"accessId": "mediatailor/sourceLocation/sports-origin", "system": "mediatailor"}
    run("report_outcome", known | about | {"detailType": "Access Planned", "result": planned} | members)


def following(run: Run, request: dict[str, Any], plan_hash: str) -> dict[str, Any]:
    """The input of plan_access for a request that follows a plan."""
    event = check_event({**request, "planHash": plan_hash}, executionArn=f"{EXECUTION}-follows")
    return {name: value for name, value in event.items() if name != "findings"} | {"checked": run("check_request", event)}


def test_the_outcome_is_published_and_kept_under_its_hash(run: Run, account: Account) -> None:
    planned = plan(run, onboarding())

    report(run, account, planned)

    [event] = account.published()
    assert event["detail-type"] == "Access Planned"
    outcome = event["detail"]
    assert (outcome["status"], outcome["changed"], outcome["planHash"]) == ("planned", False, planned["planHash"])
    kept = registry().plans.find("default", planned["planHash"])
    assert kept
    assert kept.request_id == "request-1-plan"
    assert json.loads(kept.members)["calls"] == outcome["calls"]
    assert registry().plans.find("sports", planned["planHash"]) is None
    assert registry().requests.recorded_outcome(RequestRef("request-1-plan", "c" * 64)) == "Access Planned"


def test_a_request_that_follows_its_plan_has_the_same_plan(run: Run, account: Account) -> None:
    planned = plan(run, onboarding())
    report(run, account, planned)

    event = following(run, onboarding(), planned["planHash"])

    assert run("plan_access", event)["planHash"] == planned["planHash"]
    assert (event["checked"]["toPlan"], event["checked"]["planOnly"]) == (True, False)
    assert account.items("resource") == []


def rule_of(run: Run, request: dict[str, Any], plan_hash: str) -> str:
    with pytest.raises(InvalidRequest) as caught:
        run("plan_access", following(run, request, plan_hash))
    [problem] = caught.value.problems
    assert problem.path == "planHash"
    return problem.rule


def test_an_outdated_plan_is_rejected_with_what_differs(run: Run, account: Account) -> None:
    planned = plan(run, onboarding())
    report(run, account, planned)
    account.key(ADOPT, alias="alias/latchkey/mediatailor")

    rule = rule_of(run, onboarding(), planned["planHash"])

    assert rule.startswith("plan is out of date")
    assert "the key has changed" in rule
    assert "kms:CreateKey" in rule


def test_the_hash_of_another_request_is_named(run: Run, account: Account) -> None:
    planned = plan(run, onboarding())
    report(run, account, planned)

    assert "request-1-plan" in rule_of(run, onboarding(tags={"team": "other"}), planned["planHash"])


def test_a_hash_that_no_plan_has_is_rejected(run: Run) -> None:
    assert "out of date" not in rule_of(run, onboarding(), 64 * "0")


def test_a_plan_has_nothing_to_roll_back(run: Run, account: Account) -> None:
    before = account.snapshot()

    assert run("undo_onboarding", {"request": onboarding(mode="plan"), "executionArn": EXECUTION})["undone"] == []
    assert account.snapshot() == before


def test_a_change_that_is_not_known_cannot_be_planned(account: Account) -> None:
    planned = PlannedChanges(settings().place, clients.standard_clients()).clients("role")

    with pytest.raises(LatchkeyError, match="kms:DisableKey"):
        planned.kms.disable_key(KeyId="alias/one")


def change_of(planned: dict[str, Any], kind: str) -> dict[str, Any]:
    [found] = [change for change in planned["changes"] if change["kind"] == kind]
    return dict(found)


def test_a_reader_role_that_somebody_changed_is_set_right(run: Run, account: Account) -> None:
    Onboarding(run, account, system="mediapackage").run_through("record_access")
    name, theirs = role_name_of("mediapackage"), {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
    account.iam.update_assume_role_policy(RoleName=name, PolicyDocument=policy({"Effect": "Allow", "Action": "sts:AssumeRole"}))
    account.iam.put_role_policy(RoleName=name, PolicyName="ReadOneSecret", PolicyDocument=policy(theirs))
    account.iam.delete_role_permissions_boundary(RoleName=name)

    planned = plan(run, onboarding("mediapackage"))

    role = change_of(planned, "role")
    assert role["action"] == "update"
    assert {one["name"] for one in role["policies"]} == {"ReadOneSecret", "trust policy"}
    assert [one["name"] for one in role["settings"]] == ["boundary"]
    assert operations(planned) == {
        "iam:PutRolePermissionsBoundary": 1,
        "iam:PutRolePolicy": 1,
        "iam:UpdateAssumeRolePolicy": 1,
    }


def test_another_rotation_period_shows_the_present_one(run: Run, account: Account) -> None:
    made = Onboarding(run, account).run_through("record_access")
    account.grant(made.key, f"MediaTailor-SourceLocation-{ACCOUNT}-{NAME}", made.secret)

    planned = plan(run, onboarding(key={"rotationDays": 180}))

    assert operations(planned) == {"kms:EnableKeyRotation": 1}
    [setting] = change_of(planned, "key")["settings"]
    assert (setting["name"], setting["before"], setting["after"]) == ("rotationDays", 365, 180)


def test_the_policy_of_an_endpoint_changes_by_statements(run: Run, account: Account) -> None:
    planned = plan(run, onboarding("mediapackagev2"))

    endpoint = change_of(planned, "originEndpoint")
    [changed] = endpoint["policies"]
    assert endpoint["action"] == "update"
    assert [statement["Sid"] for statement in changed["added"]] == ["LatchkeyCdnAuthorization"]
    assert changed["removed"] == []
    assert {one["name"] for one in endpoint["settings"]} >= {"secretArn", "roleArn"}


def test_a_staged_resource_is_left_as_it_is_until_its_confirmation(run: Run, account: Account) -> None:
    request = onboarding("mediapackage", takesEffectNow=False)

    planned = plan(run, request)

    assert change_of(planned, "originEndpoint")["action"] == "none"
    assert "mediapackage:UpdateOriginEndpoint" not in operations(planned)


def test_the_confirmation_of_a_staged_access_configures_its_resource(run: Run, account: Account) -> None:
    Onboarding(run, account, system="mediapackage", takesEffectNow=False).run_through("record_access")
    before = account.snapshot()

    planned = plan(run, onboarding("mediapackage", takesEffectNow=False), confirms=True)

    assert operations(planned) == {"mediapackage:UpdateOriginEndpoint": 1}
    assert actions(planned) == {"key": "none", "originEndpoint": "update", "role": "none", "secret": "none"}
    after = account.snapshot()
    before["table"] = [item for item in before["table"] if item["kind"]["S"] != "request"]
    after["table"] = [item for item in after["table"] if item["kind"]["S"] != "request"]
    assert after == before
