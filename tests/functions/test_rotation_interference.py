"""What people, other requests and crashes do between the steps of a rotation."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from moto.secretsmanager.models import secretsmanager_backends

from latchkey.cleanup.due_rotations import due_rotations
from latchkey.errors import Conflict, InvalidRequest, NotYetEffective, TransientAwsError
from latchkey.registry import registry
from latchkey.settings import settings
from tests.functions.account import ACCOUNT, ADOPT, REGION, TABLE, Account
from tests.functions.fault_injection import at_call, lose_connection
from tests.functions.media_services import FLOW
from tests.functions.onboarding_requests import NAME, SECRET_KEY, Run, existing, rejection
from tests.functions.onboarding_steps import Onboarding
from tests.functions.rotation_steps import ROTATION, Rotation

ROTATE = ADOPT | {"latchkey:rotation-consent": "rotate"}


def store(rotation: Rotation, value: dict[str, str]) -> str:
    """A person stores a value. Returns its version.

    moto moves AWSPREVIOUS as Secrets Manager does only if the label AWSCURRENT is moved, but not if a value is stored with it.
    """
    client, current = rotation.account.secretsmanager, rotation.labels["AWSCURRENT"]
    stored = client.put_secret_value(SecretId=rotation.secret, SecretString=json.dumps(value), VersionStages=["theirs"])
    client.update_secret_version_stage(
        SecretId=rotation.secret,
        VersionStage="AWSCURRENT",
        MoveToVersionId=stored["VersionId"],
        RemoveFromVersionId=current,
    )
    return str(stored["VersionId"])


@pytest.fixture
def rotation(run: Run, account: Account) -> Rotation:
    return Rotation(run, account)


@pytest.fixture
def adopted(run: Run, account: Account, stack: Callable[..., None]) -> Rotation:
    """An access whose secret belongs to somebody else, who has approved its rotation."""
    stack(ALLOWED_ORIGIN_HOSTS="*.example.com")
    key = account.key(tags=ADOPT)
    secret = account.secret("origin/shared", json.dumps({SECRET_KEY: "present-token"}), key=key, tags=ROTATE)
    rotation = Rotation(run, account, secret=existing(secret), key={"arn": key})
    rotation.secret = secret
    return rotation


def withdraw_consent(rotation: Rotation) -> None:
    tags = ["latchkey:rotation-consent"]
    rotation.account.secretsmanager.untag_resource(SecretId=rotation.secret, TagKeys=tags)


def pend(rotation: Rotation) -> Rotation:
    """Brings a rotation to the wait for its confirmation."""
    rotation.check()
    rotation.stage()
    rotation.record("pending")
    rotation.end()
    return rotation


def phase(rotation: Rotation) -> str | None:
    found = registry().phases.get(rotation.access_id)
    return found.name if found else None


def crash_after_the_phase_began(rotation: Rotation) -> None:
    """The request is claimed, locked and noted, its plan is recorded, its phase begins, and the sixth write is lost."""
    at_call("dynamodb", "UpdateItem", lose_connection, number=6)
    with pytest.raises(TransientAwsError):
        rotation.check()
    assert phase(rotation) == "rotating"


def test_a_rollback_after_a_crash_leaves_no_phase(rotation: Rotation) -> None:
    crash_after_the_phase_began(rotation)

    rotation.undo()

    assert phase(rotation) is None


@pytest.mark.parametrize("write", [1, 2, 3, 4, 5])
def test_a_rollback_that_crashes_at_any_write_leaves_no_phase(rotation: Rotation, write: int) -> None:
    rotation.check()
    rotation.stage()
    at_call("dynamodb", "UpdateItem", lose_connection, number=write)

    with pytest.raises(TransientAwsError):
        rotation.undo()
    rotation.undo()

    assert phase(rotation) is None


def test_a_withdrawal_does_not_need_the_consent_of_the_owner(adopted: Rotation) -> None:
    """Otherwise, the access rotates for ever, and can be neither onboarded nor offboarded."""
    pend(adopted)
    withdraw_consent(adopted)
    before = adopted.labels

    adopted.begin(number=2, withdraw=True).check()
    assert adopted.withdraw()["changed"] is False
    adopted.record("withdrawn")

    assert adopted.labels == before
    assert phase(adopted) is None


@pytest.mark.parametrize("promoted", [False, True])
def test_a_rollback_changes_nothing_without_the_consent_of_the_owner(adopted: Rotation, promoted: bool) -> None:
    adopted.check()
    adopted.stage()
    if promoted:
        adopted.promote()
    withdraw_consent(adopted)
    before = adopted.labels

    undone = adopted.undo()

    assert adopted.labels == before
    assert undone["undone"] == []
    assert any(adopted.secret in text for text in undone["left"])
    assert phase(adopted) is None


def test_settings_that_somebody_changed_do_not_keep_an_access_rotating(run: Run, account: Account) -> None:
    rotation = Rotation(run, account, "mediaconnect")
    former = rotation.labels["AWSCURRENT"]
    rotation.begin(acceptsInterruption=True).check()
    rotation.stage()
    rotation.promote()
    [output] = account.mediaconnect.flows[FLOW]["Outputs"]
    output["Encryption"]["Algorithm"] = "aes128"

    with pytest.raises(Conflict):
        rotation.apply()
    undone = rotation.undo()

    assert rotation.labels["AWSCURRENT"] == former
    assert any(rotation.access_id in text for text in undone["left"])
    assert phase(rotation) is None


def test_a_rollback_waits_for_a_secret_that_is_scheduled_for_deletion(rotation: Rotation) -> None:
    """A person can restore the secret. Its former token must be the current one then."""
    former = rotation.labels["AWSCURRENT"]
    rotation.check()
    rotation.stage()
    rotation.promote()
    rotation.account.secretsmanager.delete_secret(SecretId=rotation.secret)

    left = rotation.undo()["left"]
    rotation.account.secretsmanager.restore_secret(SecretId=rotation.secret)
    rotation.undo()

    assert any(rotation.secret in text for text in left)
    assert rotation.labels["AWSCURRENT"] == former
    assert phase(rotation) is None


def test_a_value_that_a_person_stores_keeps_the_token_of_the_clients_as_the_previous_one(run: Run, account: Account) -> None:
    rotation = Rotation(run, account, "mediapackage")
    former = rotation.labels["AWSCURRENT"]
    rotation.check()
    rotation.stage()
    rotation.promote()
    theirs = store(rotation, {"MediaPackageCDNIdentifier": "a-token-of-a-person"})

    rotation.undo()

    assert (rotation.labels["AWSCURRENT"], rotation.labels["AWSPREVIOUS"]) == (theirs, former)


def test_a_former_version_that_secrets_manager_deleted_is_left_to_a_person(run: Run, account: Account) -> None:
    rotation = Rotation(run, account, "mediapackage")
    rotation.begin(emergency=True).check()
    rotation.stage()
    rotation.promote()
    rotation.stage(again=True)
    rotation.promote(again=True)
    del secretsmanager_backends[ACCOUNT][REGION].secrets[rotation.secret].versions[rotation.plan["former"]]

    undone = rotation.undo()

    assert rotation.labels["AWSCURRENT"] == rotation.plan["second"]
    assert any(rotation.secret in text for text in undone["left"])
    assert phase(rotation) is None


# ---------------------------------------------------------------- rotations that a sweep starts


def sweep(rotation: Rotation, after: timedelta) -> None:
    """Makes the following steps those of the execution that a sweep starts after some time."""
    now = datetime.now(UTC) + after
    [due] = due_rotations(registry().accesses.all(), registry().tokens.rotated_at, settings(), now)
    rotation.execution = f"{ROTATION}-swept"
    rotation.event = json.loads(due.model_dump_json(by_alias=True)) | {"executionArn": rotation.execution}


@pytest.fixture
def scheduled(run: Run, account: Account) -> Rotation:
    return Rotation(run, account, "mediapackage", rotation={"everyDays": 30})


def age(rotation: Rotation, days: int) -> None:
    """Lets the token be this old."""
    since = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    rotation.account.dynamodb.update_item(
        TableName=TABLE,
        Key={"kind": {"S": "resource"}, "id": {"S": rotation.secret_resource}},
        UpdateExpression="SET tokenSince = :since",
        ExpressionAttributeValues={":since": {"S": since}},
    )


def test_a_token_that_was_rotated_since_the_sweep_is_not_rotated_again(scheduled: Rotation) -> None:
    """Otherwise, MediaPackage would refuse the token that the clients have: it accepts only the last two."""
    age(scheduled, 30)
    sweep(scheduled, timedelta())
    swept, execution = scheduled.event, scheduled.execution
    scheduled.begin().check()
    scheduled.stage()
    scheduled.promote()
    scheduled.record("rotated")
    scheduled.end()

    assert rejection(scheduled.run, "check_rotation", swept).keys() == {"accessId"}
    scheduled.execution = execution
    scheduled.undo()

    assert scheduled.labels["AWSCURRENT"] == scheduled.plan["version"]
    assert phase(scheduled) is None


def test_a_token_that_is_due_is_rotated(scheduled: Rotation) -> None:
    age(scheduled, 30)
    sweep(scheduled, timedelta())

    assert scheduled.check()["former"] == scheduled.labels["AWSCURRENT"]


def test_a_sweep_does_not_withdraw_the_next_rotation(rotation: Rotation) -> None:
    pend(rotation)
    sweep(rotation, timedelta(days=8))
    swept = rotation.event
    rotation.begin("Rotation Confirmed").check()
    rotation.promote()
    rotation.record("rotated")
    rotation.end()
    pend(rotation.begin(number=2))

    assert rejection(rotation.run, "check_rotation", swept).keys() == {"accessId"}
    assert phase(rotation) == "rotating"


# ---------------------------------------------------------------- requests at the same time


def test_an_access_that_is_about_to_read_the_secret_sees_a_rotation_that_began_since(
    run: Run, account: Account, adopted: Rotation
) -> None:
    """The rotation does not see the access, which does not refer to the secret yet."""
    members = {"secret": existing(adopted.secret), "key": adopted.recorded["key"]}
    second = Onboarding(run, account, requestId="request-2", resource={"sourceLocation": "news-origin"}, **members)
    # The claim, the lock and the note of the request come before its announcement.
    at_call("dynamodb", "UpdateItem", lambda: adopted.check() and None, number=4)

    with pytest.raises(InvalidRequest, match=adopted.access_id):
        second.check_request()


def test_a_rotation_that_waits_for_another_request_cannot_be_withdrawn(adopted: Rotation, run: Run, account: Account) -> None:
    """It holds no lock meanwhile. It would go on after its withdrawal."""
    members = {"secret": existing(adopted.secret), "key": adopted.recorded["key"]}
    second = Onboarding(run, account, requestId="request-2", resource={"sourceLocation": "news-origin"}, **members)
    second.check_request()
    with pytest.raises(NotYetEffective):
        adopted.check()

    assert rejection(run, "check_rotation", adopted.begin(number=2, withdraw=True).event).keys() == {"accessId"}
    assert phase(adopted) == "rotating"


# ---------------------------------------------------------------- versions, labels and formats


def test_a_rotation_that_was_withdrawn_does_not_make_the_present_value_unknown(rotation: Rotation, account: Account) -> None:
    """The registry knows no version of a secret that an earlier version of Latchkey has onboarded."""
    account.dynamodb.update_item(
        TableName=TABLE,
        Key={"kind": {"S": "resource"}, "id": {"S": rotation.secret_resource}},
        UpdateExpression="REMOVE tokenVersions",
    )
    pend(rotation)
    rotation.begin(number=2, withdraw=True).check()
    rotation.withdraw()
    rotation.record("withdrawn")
    rotation.end()

    assert rotation.begin(number=3).check()["former"] == rotation.labels["AWSCURRENT"]


@pytest.mark.parametrize("how", ["a pending version", "automatic rotation"])
def test_a_rotation_that_another_tool_begins_after_the_check_is_left_alone(rotation: Rotation, how: str) -> None:
    rotation.check()
    if how == "a pending version":
        client = rotation.account.secretsmanager
        client.put_secret_value(SecretId=rotation.secret, SecretString="{}", VersionStages=["AWSPENDING"])
    else:
        held = secretsmanager_backends[ACCOUNT][REGION].secrets[rotation.secret]
        held.rotation_requested = held.rotation_enabled = True
    before = rotation.labels

    with pytest.raises(Conflict):
        rotation.stage()
    rotation.undo()

    assert rotation.labels == before


def test_an_access_that_reads_the_secret_since_the_token_is_pending_stops_the_confirmation(
    run: Run, account: Account, adopted: Rotation
) -> None:
    """Nobody has asked its origin to accept the token. The access is recorded although a rotation is pending."""
    adopted.check()
    waiting = registry().phases.get(adopted.access_id)
    assert waiting
    registry().phases.end(adopted.access_id, "rotating")
    members = {"secret": existing(adopted.secret), "key": adopted.recorded["key"]}
    Onboarding(run, account, requestId="request-2", resource={"sourceLocation": "news-origin"}, **members).run_through(
        "record_access"
    )
    registry().phases.begin(adopted.access_id, waiting.name, waiting.request_id, waiting.facts)
    adopted.stage()
    adopted.record("pending")
    adopted.end()

    rules = rejection(run, "check_rotation", adopted.begin("Rotation Confirmed").event)

    assert "news-origin" in rules["accessId"]


def test_a_generated_token_has_the_length_of_the_onboarding_request(run: Run, account: Account) -> None:
    """The origin may accept no other length, and a sweep names none."""
    rotation = Rotation(run, account, secret={"value": {"generate": {"length": 12}}})
    rotation.check()
    rotation.stage()

    assert len(rotation.value("AWSPENDING")[SECRET_KEY]) == 12


def test_a_member_that_a_person_has_added_is_not_dropped(run: Run, account: Account) -> None:
    """MediaPackage v2 allows no other member. An onboarding of an earlier version accepts any present value."""
    rotation = Rotation(run, account, "mediapackagev2")
    store(rotation, rotation.value() | {"theirs": "value"})
    registry().tokens.note_versions(rotation.secret_resource, rotation.labels["AWSCURRENT"])
    rotation.check()

    with pytest.raises(Conflict, match="MediaPackageV2CDNIdentifier"):
        rotation.stage()


def test_a_secret_that_lost_its_current_version_is_not_taken_for_rotated(rotation: Rotation) -> None:
    rotation.check()
    rotation.stage()
    held = secretsmanager_backends[ACCOUNT][REGION].secrets[rotation.secret]
    held.versions[rotation.plan["former"]]["version_stages"].remove("AWSCURRENT")

    with pytest.raises(Conflict):
        rotation.promote()


def test_a_token_is_not_copied_for_a_resource_that_somebody_points_at_another_host(
    rotation: Rotation, account: Account, stack: Callable[..., None]
) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*.example.com")
    source = account.secret("theirs", "another-token", tags={"latchkey:consent": "import"})
    location = account.mediatailor.locations[NAME]
    location["HttpConfiguration"] = {"BaseUrl": "https://elsewhere.example.net/vod"}
    rotation.begin(value={"copyFrom": {"secretArn": source}})

    assert rejection(rotation.run, "check_rotation", rotation.event).keys() == {"value.copyFrom"}
