"""MediaConnect: sources, outputs and entitlements of a flow, and their encryption."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from latchkey.errors import Conflict
from latchkey.systems.mediaconnect import MEDIACONNECT, FlowPart, FlowParts
from latchkey.systems.system import Configured, Reading
from tests.unit.samples import FLOW_ARN, KEY_ARN, KINDS, PLACE, READ_BY_ROLE, SECRET_ARN, desired, role

READING = Reading(SECRET_ARN, role("latchkey-reader"))
PARTS = [kind for kind in READ_BY_ROLE if kind.startswith("mediaconnect")]
FLOW = {
    "AvailabilityZone": "eu-west-1a",
    "FlowArn": FLOW_ARN,
    "Name": "sports",
    "Source": {"Name": "contribution", "SourceArn": f"{FLOW_ARN}:source"},
    "Status": "STANDBY",
    "Entitlements": [],
    "Outputs": [],
}
# The API names of each kind: list in the flow, ARN, encryption, and update method.
API = {
    "mediaconnect-source": ("Sources", "SourceArn", "Decryption", "update_flow_source"),
    "mediaconnect-output": ("Outputs", "OutputArn", "Encryption", "update_flow_output"),
    "mediaconnect-entitlement": ("Entitlements", "EntitlementArn", "Encryption", "update_flow_entitlement"),
    "mediaconnect-srt-password": ("Outputs", "OutputArn", "Encryption", "update_flow_output"),
}
OURS = {"RoleArn": role("latchkey-reader"), "SecretArn": SECRET_ARN}
ENCRYPTION = {
    "mediaconnect-source": OURS | {"KeyType": "static-key", "Algorithm": "aes256"},
    "mediaconnect-output": OURS | {"KeyType": "static-key", "Algorithm": "aes128"},
    "mediaconnect-entitlement": OURS | {"KeyType": "static-key", "Algorithm": "aes192"},
    "mediaconnect-srt-password": OURS | {"KeyType": "srt-password"},
}
FORMER = {"Algorithm": "aes128", "KeyType": "static-key", "RoleArn": role("Former"), "SecretArn": f"{SECRET_ARN[:-1]}0"}
kinds = pytest.mark.parametrize("kind", PARTS)


@pytest.fixture
def client() -> Any:
    return boto3.client("mediaconnect")


@pytest.fixture
def answers(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def part(kind: str) -> FlowPart:
    return FlowPart.model_validate(KINDS[kind]["resource"])


def arn(kind: str) -> str:
    return f"{FLOW_ARN}:{kind}"


def part_of(kind: str, encryption: dict[str, str] | None, protocol: str = "") -> dict[str, Any]:
    """A part as its flow lists it. An entitlement has no protocol."""
    _, name_of_arn, member, _ = API[kind]
    transport = {"Transport": {"Protocol": protocol}} if protocol else {}
    own = {"Name": part(kind).part[1], name_of_arn: arn(kind)}
    subscribers: dict[str, Any] = {"Subscribers": []} if "entitlement" in kind else {}
    return own | transport | subscribers | ({member: encryption} if encryption else {})


def describe(answers: Stubber, **members: Any) -> None:
    answers.add_response("describe_flow", {"Flow": FLOW | members}, {"FlowArn": FLOW_ARN})


def read(client: Any, answers: Stubber, kind: str, encryption: dict[str, str] | None, protocol: str = "") -> Configured:
    describe(answers, **{API[kind][0]: [part_of(kind, encryption, protocol)]})
    found = FlowParts().read(client, part(kind))
    assert found
    return found


@kinds
def test_a_part_with_our_secret_and_role_has_the_wanted_settings(client: Any, answers: Stubber, kind: str) -> None:
    found = read(client, answers, kind, ENCRYPTION[kind])
    assert (found.arn, found.secret_arn, found.tags) == (arn(kind), SECRET_ARN, {})
    assert found.settings == FlowParts().wanted(part(kind), READING)


@kinds
def test_a_part_without_encryption_has_no_secret(client: Any, answers: Stubber, kind: str) -> None:
    found = read(client, answers, kind, None)
    assert found.secret_arn is None
    assert found.settings == {"keyType": "static-key", "roleArn": "", "secretArn": ""}


def test_the_algorithm_of_a_part_with_a_password_is_ignored(client: Any, answers: Stubber) -> None:
    kind = "mediaconnect-srt-password"
    found = read(client, answers, kind, ENCRYPTION[kind] | {"Algorithm": "aes128"})
    assert found.settings == FlowParts().wanted(part(kind), READING)


@kinds
def test_a_part_is_found_by_its_name(client: Any, answers: Stubber, kind: str) -> None:
    other = part_of(kind, FORMER) | {"Name": "another", API[kind][1]: "arn:another"}
    describe(answers, **{API[kind][0]: [other, part_of(kind, ENCRYPTION[kind])]})
    found = FlowParts().read(client, part(kind))
    assert found
    assert found.arn == arn(kind)


def test_the_only_source_of_a_flow_is_found(client: Any, answers: Stubber) -> None:
    describe(answers)
    found = FlowParts().read(client, part("mediaconnect-source"))
    assert found
    assert found.arn == f"{FLOW_ARN}:source"


@kinds
def test_a_part_that_is_not_in_its_flow_does_not_exist(client: Any, answers: Stubber, kind: str) -> None:
    describe(answers, **{API[kind][0]: []}, Source={"Name": "another", "SourceArn": "arn:another"})
    assert FlowParts().read(client, part(kind)) is None


def test_a_part_of_a_missing_flow_does_not_exist(client: Any, answers: Stubber) -> None:
    answers.add_client_error("describe_flow", "NotFoundException", http_status_code=404)
    assert FlowParts().read(client, part("mediaconnect-output")) is None


def test_a_flow_with_the_same_id_and_another_name_does_not_exist(client: Any, answers: Stubber) -> None:
    listed, *_ = API["mediaconnect-output"]
    describe(answers, FlowArn=f"{FLOW_ARN}-another", **{listed: [part_of("mediaconnect-output", None)]})
    assert FlowParts().read(client, part("mediaconnect-output")) is None


def test_flows_with_the_same_id_and_two_names_are_two_accesses() -> None:
    one, other = (desired({"resource.flowArn": arn}, "mediaconnect-output") for arn in (FLOW_ARN, f"{FLOW_ARN}-another"))
    assert one.access_id != other.access_id
    assert f"/{FLOW_ARN.split(':')[6]}/{FLOW_ARN.split(':')[7]}/output/" in one.access_id


def test_the_owner_of_a_flow_consents_for_its_parts(client: Any, answers: Stubber) -> None:
    found = read(client, answers, "mediaconnect-output", None)
    answers.add_response("list_tags_for_resource", {"Tags": {"team": "sports"}}, {"ResourceArn": FLOW_ARN})
    assert FlowParts().consent_target(client, found) == (FLOW_ARN, {"team": "sports"})


@pytest.mark.parametrize("status", [400, 403, 429, 503])
def test_other_errors_do_not_mean_absence(client: Any, answers: Stubber, status: int) -> None:
    answers.add_client_error("describe_flow", "Something", http_status_code=status)
    with pytest.raises(ClientError, match="Something"):
        FlowParts().read(client, part("mediaconnect-output"))


@kinds
def test_a_part_is_updated_and_restored_by_its_encryption(client: Any, answers: Stubber, kind: str) -> None:
    _, name_of_arn, member, update = API[kind]
    named = {"FlowArn": FLOW_ARN, name_of_arn: arn(kind)}
    found = read(client, answers, kind, FORMER, "" if "entitlement" in kind else "zixi-push")
    answers.add_response(update, {}, named | {member: ENCRYPTION[kind]})
    FlowParts().update(client, part(kind), READING, found)
    answers.add_response(update, {}, named | {member: FORMER})
    # The registry stores it as JSON.
    FlowParts().restore(client, json.loads(json.dumps(found.full_settings)))


@kinds
def test_encryption_that_was_added_cannot_be_removed(client: Any, answers: Stubber, kind: str) -> None:
    found = read(client, answers, kind, None)
    with pytest.raises(Conflict, match=arn(kind)):
        FlowParts().restore(client, found.full_settings)


@pytest.mark.parametrize(
    ("kind", "protocol", "refused"),
    [
        ("mediaconnect-source", "zixi-push", False),
        ("mediaconnect-source", "srt-listener", True),
        ("mediaconnect-source", "rtp", True),
        ("mediaconnect-source", "", False),
        ("mediaconnect-output", "zixi-pull", False),
        ("mediaconnect-srt-password", "srt-caller", False),
        ("mediaconnect-srt-password", "zixi-pull", True),
        ("mediaconnect-entitlement", "", False),
    ],
)
def test_a_part_with_another_protocol_is_rejected(
    client: Any, answers: Stubber, kind: str, protocol: str, refused: bool
) -> None:
    rules = [*FlowParts().unsupported_reasons(part(kind), read(client, answers, kind, None, protocol))]
    assert len(rules) == refused
    assert all(protocol in rule for rule in rules)


@pytest.mark.parametrize(
    ("kind", "bounds"),
    [
        ("mediaconnect-output", (32, 32)),
        ("mediaconnect-entitlement", (48, 48)),
        ("mediaconnect-source", (64, 64)),
        ("mediaconnect-srt-password", (10, 80)),
    ],
)
def test_the_value_is_plain_text_of_the_length_of_its_key(kind: str, bounds: tuple[int, int]) -> None:
    shape = desired(kind=kind).secret_shape
    assert shape
    assert (shape.member, shape.generated) == (None, bounds)


@kinds
def test_a_handoff_contains_the_encryption_of_the_part(kind: str) -> None:
    wanted = desired(kind=kind)
    kind_of_part, name = part(kind).part
    handoff = MEDIACONNECT.handoff(wanted.resource, READING, KEY_ARN, PLACE)
    assert handoff.values == {"FlowArn": FLOW_ARN, kind_of_part: name} | ENCRYPTION[kind]
    properties = {"FlowArn": FLOW_ARN, "Name": name, API[kind][2]: ENCRYPTION[kind]}
    assert handoff.cloud_formation == {
        "Part": {"Type": f"AWS::MediaConnect::Flow{kind_of_part.title()}", "Properties": properties}
    }


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        (FLOW_ARN, False),
        (FLOW_ARN.replace("eu-west-1", "eu-west-2"), True),
        (FLOW_ARN.replace("111122223333", "444455556666"), True),
        (FLOW_ARN.replace("arn:aws:", "arn:aws-cn:"), True),
    ],
)
def test_a_flow_must_be_in_this_account_and_region(changed: str, wrong: bool) -> None:
    rules = desired({"resource.flowArn": changed}, "mediaconnect-output").resource.wrong_location(PLACE)
    assert [*rules] == (["flowArn"] if wrong else [])
