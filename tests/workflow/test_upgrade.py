"""An account that version 0.1.0 left works after the update: its registry, resources and running executions."""

import json
import re
import uuid

import pytest

from latchkey.requests.parsing import parse_onboarding
from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import until
from tests.workflow.fault_injection import LATE, NOTHING, Detail, FaultInjection
from tests.workflow.former_account import FormerAccount
from tests.workflow.onboarding import ORIGIN, Onboarding

CONSENT = [{"Key": "latchkey:consent", "Value": "adopt"}]
ACTIVE = ["request-active", "request-owned", "request-adopted", "request-v2"]


@pytest.fixture
def former(fault_injection: FaultInjection) -> FormerAccount:
    return FormerAccount(fault_injection)


@pytest.fixture
def unhurried(onboarding: Onboarding) -> FormerAccount:
    """A former account whose state machines wait for their whole time, as cleanups must."""
    onboarding.aws.control("PUT", "assumptions", {"trail": {"lose": 1}, "mediatailorRetires": "never"})
    return FormerAccount(FaultInjection(onboarding.aws, onboarding.outcomes))


def _reads_its_secret(former: FormerAccount, name: str) -> bool:
    """Whether a role that the former request admitted can read the secret, and MediaTailor has its grant."""
    aws, secret = former.client.aws, former.names[f"Secret:latchkey/mediatailor/{name}/token"]
    reader = aws.assume(ORIGIN).client("secretsmanager", endpoint_url=aws.url)
    grants = former.client.grants(former.names[f"Key:{name}"])
    return bool(reader.get_secret_value(SecretId=secret)["SecretString"]) and any(name in grant["Name"] for grant in grants)


@pytest.mark.parametrize("request_id", ACTIVE)
def test_the_same_request_changes_nothing(former: FormerAccount, request_id: str) -> None:
    former.client.settle()
    before = former.client.account_snapshot()

    outcome = former.client.onboard(former.again(request_id))

    assert (outcome["status"], outcome["changed"], outcome["tenant"]) == ("unchanged", False, "default")
    assert former.client.account_snapshot() == before


def test_a_role_with_the_former_trust_policy_stays_in_service(former: FormerAccount) -> None:
    client, iam = former.client, former.client.aws.client("iam")
    [role] = [one for one in iam.list_roles()["Roles"] if one["RoleName"].startswith("latchkey_us-east-1_mediapackagev2_")]
    trust = iam.get_role(RoleName=role["RoleName"])["Role"]["AssumeRolePolicyDocument"]
    assert trust["Statement"][0]["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    access = former.requests["request-v2"]["resource"]
    access_id = "/".join(["mediapackagev2", "originEndpoint", *access.values()])

    client.sweep()
    event = client.onboard(former.again("request-v2"))

    assert event["status"] == "unchanged"
    assert client.item("access", access_id)["status"]["S"] == "active"
    assert iam.get_role(RoleName=role["RoleName"])["Role"]["AssumeRolePolicyDocument"] == trust


def test_a_role_with_the_former_trust_policy_reads_another_secret(former: FormerAccount) -> None:
    client, iam = former.client, former.client.aws.client("iam")
    value = json.dumps({"MediaPackageV2CDNIdentifier": str(uuid.uuid4())})
    made = client.secretsmanager.create_secret(
        Name=f"theirs/{uuid.uuid4().hex}", SecretString=value, KmsKeyId=former.names["Key:v2"], Tags=CONSENT
    )

    secret = {"value": {"existing": {"secretArn": made["ARN"]}}}
    assert {*client.reject(former.again("request-v2", secret=secret))} == {"secret.replacesToken"}

    outcome = client.onboard(former.again("request-v2", secret=secret | {"replacesToken": True}))

    assert (outcome["status"], outcome["resources"]["secretArn"]) == ("active", made["ARN"])
    role = outcome["resources"]["roleArn"].rpartition("/")[2]
    [statement] = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_an_access_that_shares_a_secret_stays_active_and_its_next_request_needs_consent(former: FormerAccount) -> None:
    assert {*former.client.reject(former.again("request-sharing"))} == {"secret.value.existing.secretArn"}

    former.client.consent(former.names["Secret:latchkey/mediatailor/active-origin/token"])

    assert former.client.onboard(former.again("request-sharing"))["status"] == "unchanged"
    assert former.client.onboard(former.again("request-active"))["status"] == "unchanged"


def test_an_event_that_version_0_1_0_answered_is_not_carried_out_again(former: FormerAccount) -> None:
    before, request = former.client.executions("Onboard"), former.requests["request-v2"]

    former.client.put(request)
    until(lambda: former.client.successes("receive_request", request["requestId"]), "the event at the gate")

    assert len(former.client.executions("Onboard")) == len(before)
    assert former.client.outcomes.of("request-v2") == []


def test_other_settings_of_an_owners_source_location_need_consent(former: FormerAccount) -> None:
    def request() -> Detail:
        asked = former.again("request-owned")
        return asked | {"resource": asked["resource"] | {"header": "X-Other-Token"}}

    assert {*former.client.reject(request())} == {"resource"}
    arn = former.client.location("owned-origin")["Arn"]
    former.client.mediatailor.tag_resource(ResourceArn=arn, Tags={"latchkey:consent": "adopt"})
    outcome = former.client.onboard(request())

    assert outcome["status"] == "active"
    access = former.client.location("owned-origin")["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]
    assert access["HeaderName"] == "X-Other-Token"


def test_a_second_access_on_a_former_key_takes_no_reader_away(former: FormerAccount) -> None:
    client, key = former.client, former.names["Key:active-origin"]
    detail = client.detail(key={"alias": "alias/latchkey/active-origin"}, managementRoles=None)

    made = client.onboard(detail)["resources"]

    assert made["keyArn"] == key
    assert _reads_its_secret(former, "active-origin")
    assert client.onboard(former.again("request-active"))["status"] == "unchanged"


def test_the_next_change_lets_every_writer_change_the_policy_of_a_former_key(former: FormerAccount) -> None:
    client, key = former.client, former.names["Key:active-origin"]
    client.aws.control("PUT", "assumptions", {"lockoutCountsTagConditions": False})

    client.onboard(client.detail(key={"alias": "alias/latchkey/active-origin"}, managementRoles=None))

    [creation] = [one for one in client.key_policy(key)["Statement"] if one.get("Sid") == "LatchkeyCreation"]
    writers = [re.findall(r"latchkey-(\w+)Function", arn)[0] for arn in creation["Principal"]["AWS"]]
    assert sorted(writers) == ["AttachPolicies", "CreateKey", "RemovePolicies", "UndoOnboarding"]
    assert client.onboard(former.again("request-active"))["status"] == "unchanged"


@pytest.mark.parametrize("request_id", ["request-handed", "request-adobe"])
def test_a_former_handoff_is_confirmed(former: FormerAccount, request_id: str) -> None:
    access_id = parse_onboarding(former.requests[request_id]).access_id
    handoff = json.loads(former.client.item("request", request_id)["outcome"]["S"])["handoff"]
    for piece in handoff.get("cloudFormation", {}).values():  # the key of an instance in Adobe needs no resource
        former.client.mediatailor.create_source_location(**piece["Properties"])

    confirmation = {"requestId": f"confirm-{uuid.uuid4().hex[:12]}", "accessId": access_id}
    former.client.put(confirmation, "Handoff Confirmed")
    event = former.client.outcomes.wait_for(confirmation["requestId"])

    assert event["detail-type"] == "Access Onboarded", event


def test_a_cleanup_after_deletion_revokes_the_grant(unhurried: FormerAccount) -> None:
    names = ("active-origin", "owned-origin")
    for name in names:
        unhurried.client.mediatailor.delete_source_location(SourceLocationName=name)
    assert len(unhurried.client.grants(unhurried.names["Key:active-origin"])) == 2
    unhurried.client.await_old_grants(*unhurried.keys)

    unhurried.client.sweep()

    assert unhurried.client.grants(unhurried.names["Key:owned-origin"]) == []
    [left] = unhurried.client.grants(unhurried.names["Key:active-origin"])
    assert "sharing-origin" in left["Name"]
    cleaned = [
        event["detail"]["accessId"] for event in unhurried.client.outcomes.all() if event["detail-type"] == "Grants Cleaned Up"
    ]
    assert sorted(cleaned) == [f"mediatailor/sourceLocation/{name}" for name in names]


def test_the_sweep_finishes_the_rollbacks_that_version_0_1_0_left_unfinished(former: FormerAccount) -> None:
    client = former.client
    former.client.settle()

    former.client.sweep()

    assert client.location("failed-origin").get("AccessConfiguration", {}) == {}
    changed = client.location("changed-origin")["AccessConfiguration"]["SecretsManagerAccessTokenConfiguration"]
    assert changed["HeaderName"] == "X-Origin-Token"
    key = client.kms.describe_key(KeyId=former.names["Key:failed-origin"])["KeyMetadata"]
    assert key["KeyState"] == "PendingDeletion"
    assert _reads_its_secret(former, "changed-origin")
    assert former.client.journal() == []
    access = former.client.item("access", "mediatailor/sourceLocation/changed-origin")
    assert (access["status"]["S"], {"former", "previous", "undone", "unfinished"} & {*access}) == ("active", set())
    assert client.onboard(former.again("request-changed"))["status"] == "unchanged"


def test_a_request_that_runs_during_the_update_is_carried_out(former: FormerAccount) -> None:
    event = former.client.outcomes.wait_for("request-running")

    assert event["detail-type"] == "Access Onboarded", event
    former.client.settle()
    assert former.client.onboard(former.again("request-running"))["status"] == "unchanged"


def test_a_request_that_fails_during_the_update_leaves_nothing(
    fault_injection: FaultInjection,
) -> None:
    fault_injection.aws.control("POST", "faults", LATE | {"request": "request-running"})
    former = FormerAccount(fault_injection)

    event = former.client.outcomes.wait_for("request-running")

    assert event["detail-type"] == "Request Failed", event
    assert (event["detail"]["changed"], event["detail"]["left"]) == (False, [])
    assert former.client.left(former.requests["request-running"]) == NOTHING
    assert former.client.journal() == []


def test_a_cleanup_that_runs_during_the_update_finishes(unhurried: FormerAccount) -> None:
    unhurried.client.mediatailor.delete_source_location(SourceLocationName="owned-origin")
    unhurried.client.await_old_grants(*unhurried.keys)

    with unhurried.former_definition("CleanUp") as start:
        execution = start({"accessId": "mediatailor/sourceLocation/owned-origin", "keys": [], "hint": None})
    unhurried.client.settle()

    assert unhurried.client.states.describe_execution(executionArn=execution)["status"] == "SUCCEEDED"
    assert unhurried.client.grants(unhurried.names["Key:owned-origin"]) == []


def test_a_rollback_that_continues_during_the_update_finishes(former: FormerAccount) -> None:
    with former.former_definition("EndRequest") as start:
        execution = start({"executionArn": former.execution("request-failed")})
    former.client.settle()
    former.client.sweep()

    assert former.client.states.describe_execution(executionArn=execution)["status"] == "SUCCEEDED"
    assert former.client.location("failed-origin").get("AccessConfiguration", {}) == {}
    assert [entry for entry in former.client.journal() if former.execution("request-failed") in entry] == []


@pytest.mark.parametrize("request_id", ACTIVE)
def test_a_former_access_is_offboarded_and_restored(former: FormerAccount, request_id: str) -> None:
    """Version 0.1.0 recorded neither the former settings of a resource nor what later versions add to the registry."""
    client, access_id = former.client, parse_onboarding(former.requests[request_id]).access_id
    record = client.item("access", access_id)
    assert not {"formerSettings", "phase", "offboarded", "recordedAt"} & {*record}
    if request_id == "request-owned":
        assert client.ask("Offboarding Requested", access_id)["detail-type"] == "Request Rejected"
        arn = client.location("owned-origin")["Arn"]
        client.mediatailor.tag_resource(ResourceArn=arn, Tags={"latchkey:consent": "adopt"})

    outcome = client.offboard(access_id, recoveryDays=7)

    assert outcome["steps"] == []
    secret = record["secretArn"]["S"]
    is_own = request_id in ("request-owned", "request-v2")  # the others share it with another access, or adopted it
    assert [one["resource"] for one in outcome["scheduled"]] == ([secret] if is_own else [])
    assert ("DeletedDate" in client.secretsmanager.describe_secret(SecretId=secret)) is is_own
    if request_id != "request-v2":
        assert not client.location(access_id.rsplit("/", 1)[1]).get("AccessConfiguration")
    restored = client.restore(access_id)
    assert restored["resources"]["secretArn"] == secret
    assert client.onboard(former.again(request_id))["status"] == "unchanged"
    assert client.journal() == []


def test_offboarding_a_former_access_takes_nothing_from_the_one_that_shares_its_secret(former: FormerAccount) -> None:
    client = former.client
    client.consent(former.names["Secret:latchkey/mediatailor/active-origin/token"])

    client.offboard("mediatailor/sourceLocation/active-origin", recoveryDays=7)

    assert client.onboard(former.again("request-sharing"))["status"] == "unchanged"
    last = client.offboard("mediatailor/sourceLocation/sharing-origin", recoveryDays=7)
    secret = former.names["Secret:latchkey/mediatailor/active-origin/token"]
    assert [one["resource"] for one in last["scheduled"]] == [secret]


def test_a_former_handoff_is_offboarded_and_restored(former: FormerAccount) -> None:
    client, access_id = former.client, parse_onboarding(former.requests["request-handed"]).access_id

    outcome = client.offboard(access_id, recoveryDays=7)

    assert [one["resource"] for one in outcome["scheduled"]] == [
        former.names["Secret:latchkey/mediatailor/handed-origin/token"]
    ]
    assert client.ask("Restoration Requested", access_id)["detail-type"] == "Access Handed Off"
