"""MediaConnect: sources, outputs and entitlements of a flow, and their encryption."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from latchkey.errors import Conflict
from latchkey.requests.lifecycle import HandoffConfirmed
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


# What DescribeFlow returns for each kind of part besides its names and encryption, and what the update accepts of that.
RETURNED: dict[str, dict[str, Any]] = {
    "mediaconnect-source": {
        "DataTransferSubscriberFeePercent": 10,
        "Description": "stadium",
        "GatewayBridgeSource": {"BridgeArn": "arn:aws:mediaconnect:eu-west-1:111122223333:bridge:1-a:b"},
        "IngestIp": "198.51.100.7",
        "IngestPort": 2088,
        "MediaStreamSourceConfigurations": [
            {
                "EncodingName": "jxsv",
                "InputConfigurations": [{"InputIp": "10.0.0.7", "InputPort": 5000, "Interface": {"Name": "vpc"}}],
                "MediaStreamName": "video",
            }
        ],
        "PeerIpAddress": "192.0.2.9",
        "Transport": {"MaxBitrate": 9, "MaxLatency": 500, "Protocol": "zixi-push", "RemoteId": "r", "StreamId": "s"},
        "VpcInterfaceName": "vpc",
        "WhitelistCidr": "10.0.0.0/16",
    },
    "mediaconnect-output": {
        "Destination": "192.0.2.1",
        "ListenerAddress": "198.51.100.8",
        "MediaStreamOutputConfigurations": [
            {
                "DestinationConfigurations": [
                    {"DestinationIp": "10.0.0.8", "DestinationPort": 1, "Interface": {"Name": "vpc"}, "OutboundIp": "10.0.0.9"}
                ],
                "EncodingName": "jxsv",
                "EncodingParameters": {"CompressionFactor": 4.5, "EncoderProfile": "main"},
                "MediaStreamName": "video",
            }
        ],
        "OutputStatus": "ENABLED",
        "Port": 2089,
        "Transport": {"CidrAllowList": ["10.0.0.0/16"], "MaxBitrate": 9, "Protocol": "zixi-pull", "RemoteId": "r"},
        "VpcInterfaceAttachment": {"VpcInterfaceName": "vpc"},
    },
    "mediaconnect-entitlement": {
        "DataTransferSubscriberFeePercent": 10,
        "Description": "affiliate",
        "EntitlementStatus": "DISABLED",
        "Subscribers": ["444455556666"],
    },
}
ACCEPTED: dict[str, dict[str, Any]] = {
    "mediaconnect-source": {
        "Description": "stadium",
        "GatewayBridgeSource": {"BridgeArn": "arn:aws:mediaconnect:eu-west-1:111122223333:bridge:1-a:b"},
        "IngestPort": 2088,
        "MaxBitrate": 9,
        "MaxLatency": 500,
        "MediaStreamSourceConfigurations": [
            {
                "EncodingName": "jxsv",
                "InputConfigurations": [{"InputPort": 5000, "Interface": {"Name": "vpc"}}],
                "MediaStreamName": "video",
            }
        ],
        "Protocol": "zixi-push",
        "StreamId": "s",
        "VpcInterfaceName": "vpc",
        "WhitelistCidr": "10.0.0.0/16",
    },
    "mediaconnect-output": {
        "CidrAllowList": ["10.0.0.0/16"],
        "Destination": "192.0.2.1",
        "MediaStreamOutputConfigurations": [
            {
                "DestinationConfigurations": [
                    {"DestinationIp": "10.0.0.8", "DestinationPort": 1, "Interface": {"Name": "vpc"}}
                ],
                "EncodingName": "jxsv",
                "EncodingParameters": {"CompressionFactor": 4.5, "EncoderProfile": "main"},
                "MediaStreamName": "video",
            }
        ],
        "OutputStatus": "ENABLED",
        "Port": 2089,
        "Protocol": "zixi-pull",
        "RemoteId": "r",
        "VpcInterfaceAttachment": {"VpcInterfaceName": "vpc"},
    },
    "mediaconnect-entitlement": {
        "Description": "affiliate",
        "EntitlementStatus": "DISABLED",
        "Subscribers": ["444455556666"],
    },
}


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


def test_no_list_contains_the_parts_of_flows(client: Any) -> None:
    assert FlowParts().listed(client) is None


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


@pytest.mark.parametrize("kind", RETURNED)
def test_an_update_and_a_restore_send_all_settings_of_the_part(client: Any, answers: Stubber, kind: str) -> None:
    listed, name_of_arn, member, update = API[kind]
    named = {"FlowArn": FLOW_ARN, name_of_arn: arn(kind)}
    describe(answers, **{listed: [part_of(kind, FORMER) | RETURNED[kind]]})
    found = FlowParts().read(client, part(kind))
    assert found
    answers.add_response(update, {}, named | ACCEPTED[kind] | {member: ENCRYPTION[kind]})
    FlowParts().update(client, part(kind), READING, found)
    answers.add_response(update, {}, named | ACCEPTED[kind] | {member: FORMER})
    # The registry stores it as JSON.
    FlowParts().restore(client, json.loads(json.dumps(found.full_settings)))


def test_the_encryption_that_version_0_1_0_recorded_is_restored(client: Any, answers: Stubber) -> None:
    named = {"FlowArn": FLOW_ARN, "OutputArn": arn("output")}
    answers.add_response("update_flow_output", {}, named | {"Encryption": FORMER})
    FlowParts().restore(client, {"part": "output", "names": named, "encryption": FORMER})


ENTITLED = {"EntitlementArn": f"{FLOW_ARN}:theirs"}


def read_entitled(client: Any, answers: Stubber, status: str) -> Configured:
    source = part_of("mediaconnect-source", FORMER) | ENTITLED
    describe(answers, Sources=[source], Status=status)
    found = FlowParts().read(client, part("mediaconnect-source"))
    assert found
    return found


@pytest.mark.parametrize(
    ("status", "refused"),
    [("STANDBY", False), ("ACTIVE", True), ("STARTING", True), ("STOPPING", True), ("UPDATING", True), ("ERROR", True)],
)
def test_an_entitled_source_is_updated_only_while_its_flow_is_stopped(
    client: Any, answers: Stubber, status: str, refused: bool
) -> None:
    rules = [*FlowParts().refused_updates(read_entitled(client, answers, status))]
    assert len(rules) == refused
    assert all(status in rule for rule in rules)


@kinds
def test_other_parts_are_updated_while_their_flow_is_active(client: Any, answers: Stubber, kind: str) -> None:
    describe(answers, **{API[kind][0]: [part_of(kind, FORMER)]}, Status="ACTIVE")
    found = FlowParts().read(client, part(kind))
    assert found
    assert [*FlowParts().refused_updates(found)] == []


@pytest.mark.parametrize(("status", "raised"), [("ACTIVE", Conflict), ("STANDBY", ClientError)])
def test_a_restore_that_waits_for_the_flow_to_stop_says_so(
    client: Any, answers: Stubber, status: str, raised: type[Exception]
) -> None:
    found = read_entitled(client, answers, "STANDBY")
    answers.add_client_error("update_flow_source", "BadRequestException", http_status_code=400)
    describe(answers, Status=status)
    with pytest.raises(raised):
        FlowParts().restore(client, found.full_settings)


def test_a_failed_restore_of_another_part_is_not_explained(client: Any, answers: Stubber) -> None:
    found = read(client, answers, "mediaconnect-output", FORMER)
    answers.add_client_error("update_flow_output", "BadRequestException", http_status_code=400)
    with pytest.raises(ClientError):
        FlowParts().restore(client, found.full_settings)


# MediaConnect's model has no pattern and no length for names.
NAMES = ["Tor 1/Süd: #2 100% (?)", "=2F", "a" * 300, "東京" * 20, "with\ttab"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("changes", [{"resource.flowArn": FLOW_ARN[: -len("sports")]}, {"resource.output": ""}], ids=[*"fp"])
def test_a_name_can_contain_any_character(changes: dict[str, str], name: str) -> None:
    [(path, value)] = changes.items()
    wanted = desired({path: value + name}, "mediaconnect-output")
    assert re.fullmatch(r"mediaconnect/flow/[A-Za-z0-9 ._/=-]+", wanted.access_id)
    assert len(wanted.access_id) <= 256
    assert re.fullmatch(r"[A-Za-z0-9/_+=.@-]{1,512}", wanted.secret_name)
    assert HandoffConfirmed.model_validate({"requestId": "confirm-1", "accessId": wanted.access_id})


def test_different_names_have_different_access_ids() -> None:
    names = ["a/b", "a=2Fb", "a:b", "a b", "ä", "a" * 300, "a" * 301, "a" * 300 + "/", "b/output/a"]
    ids = {desired({"resource.output": name}, "mediaconnect-output").access_id for name in names}
    arns = {desired({"resource.flowArn": f"{FLOW_ARN}/output/b"}, "mediaconnect-output").access_id}
    assert len(ids | arns) == len(names) + 1


def test_access_ids_of_version_0_1_0_stay() -> None:
    flow, name = "A b.c_d-e" * 5, "9. z_y-x" * 10
    wanted = desired({"resource.flowArn": f"{FLOW_ARN}{flow}", "resource.output": name}, "mediaconnect-output")
    assert wanted.access_id == f"mediaconnect/flow/{FLOW_ARN.split(':')[6]}/sports{flow}/output/{name}"


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
        ("mediaconnect-srt-password", (10, 79)),
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


@kinds
def test_the_other_end_of_the_part_needs_the_key_before(kind: str) -> None:
    counterpart, resource = MEDIACONNECT.counterpart, part(kind)
    assert counterpart
    assert counterpart.who(resource) in counterpart.preparation(resource)
    assert resource.part[1] in counterpart.preparation(resource)


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


def test_a_planned_update_of_a_part_is_read_again_with_its_encryption() -> None:
    update = FlowParts.shown.effects["UpdateFlowOutput"]
    parts = [{"OutputArn": "one", "Encryption": {"SecretArn": "former"}}, {"OutputArn": "other"}]

    found = update({"Flow": {"Outputs": parts}}, {"OutputArn": "one", "Encryption": {"SecretArn": SECRET_ARN}}, PLACE)

    assert found
    assert found["Flow"]["Outputs"] == [{"OutputArn": "one", "Encryption": {"SecretArn": SECRET_ARN}}, {"OutputArn": "other"}]
