"""CloudTrail events that can orphan a grant, and the accesses and resources that they affect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchkey.cleanup.trail_events import SOURCES, AffectedItems, read_trail_event
from latchkey.place import Place

PLACE = Place(partition="aws", account="000000000000", region="us-east-1")
TRAIL = Path(__file__).parents[2] / "events/trail"
SAMPLES: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in sorted(TRAIL.glob("*.json"))}
OWN_ROLE = PLACE.arn("iam", "role/latchkey-AttachPoliciesFunctionRole-ABCDEF", region="")

ACCESS = "mediatailor/sourceLocation/sports-origin"
NAME = "latchkey/mediatailor/sports-origin/token"
SECRET, PARTIAL = f"secret {NAME}", PLACE.arn("secretsmanager", f"secret:{NAME}")
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
KEY = PLACE.arn("kms", f"key/{KEY_ID}")
ELSEWHERE = [PLACE.model_copy(update=update) for update in ({"account": "111122223333"}, {"region": "eu-west-1"})]

ABOUT = {"mediatailor": (ACCESS,), "secretsmanager": (SECRET, f"{SECRET}-AbCdEf"), "kms": (KEY,)}
RECORD_MEMBERS = {"eventId": "eventID", "eventName": "eventName", "eventTime": "eventTime"}

samples = pytest.mark.parametrize("sample", SAMPLES)


def changed(sample: str, **members: Any) -> dict[str, Any]:
    """A sample whose record has other members."""
    event = SAMPLES[sample]
    return event | {"detail": event["detail"] | members}


def by(role: str) -> dict[str, Any]:
    """The identity of a role session."""
    return {"type": "AssumedRole", "sessionContext": {"sessionIssuer": {"type": "Role", "arn": role}}}


def read(event: object) -> AffectedItems | None:
    return read_trail_event(event, PLACE, [OWN_ROLE])


def about(event: object) -> tuple[str, ...]:
    """The accesses and resources that an event affects; empty if it is ignored."""
    concern = read(event)
    return (*concern.accesses, *concern.resources) if concern else ()


def test_every_operation_has_its_sample() -> None:
    sampled = {(event["detail"]["eventSource"], event["detail"]["eventName"]) for event in SAMPLES.values()}

    assert sampled == {(source, operation) for source, known in SOURCES.items() for operation in known.operations}


@samples
def test_a_sample_becomes_a_trail_event(sample: str) -> None:
    concern, record = read(SAMPLES[sample]), SAMPLES[sample]["detail"]

    assert concern
    assert concern.trail_event.model_dump(mode="json", by_alias=True, exclude={"principal"}) == {
        member: record[name] for member, name in RECORD_MEMBERS.items()
    }


USER = "arn:aws:iam::123456789012:user/alice"


@pytest.mark.parametrize(
    ("identity", "principal"),
    [
        ({"type": "IAMUser", "arn": USER}, USER),
        ({"type": "AWSService", "invokedBy": "secretsmanager.amazonaws.com"}, "secretsmanager.amazonaws.com"),
        ({"arn": ["a"], "invokedBy": 1}, None),
        ({"arn": f"{USER} "}, None),
        (None, None),
    ],
)
def test_a_trail_event_contains_who_made_the_call(identity: Any, principal: str | None) -> None:
    concern = read(changed("kms-disable-key", userIdentity=identity))

    assert concern
    assert concern.trail_event.principal == principal


@samples
def test_a_sample_affects_the_item_of_its_service(sample: str) -> None:
    assert about(SAMPLES[sample]) == ABOUT[sample.partition("-")[0]]


@samples
def test_a_failed_call_is_ignored(sample: str) -> None:
    assert read(changed(sample, errorCode="AccessDenied")) is None


@samples
def test_another_operation_is_ignored(sample: str) -> None:
    assert read(changed(sample, eventName="TagResource")) is None


@samples
def test_an_operation_of_another_service_is_ignored(sample: str) -> None:
    assert read(changed(sample, eventSource="iam.amazonaws.com")) is None


@samples
def test_an_event_that_is_not_from_cloudtrail_is_ignored(sample: str) -> None:
    assert read(SAMPLES[sample] | {"detail-type": "Secret Label Updated"}) is None


@samples
def test_calls_of_our_own_roles_count_only_if_they_can_orphan_a_grant(sample: str) -> None:
    ours, theirs = (changed(sample, userIdentity=by(role)) for role in (OWN_ROLE, f"{OWN_ROLE}2"))

    leaves = sample.startswith("mediatailor") and "create" not in sample
    assert (read(ours) is not None) is leaves
    assert read(theirs) is not None


@pytest.mark.parametrize("identity", [None, {}, {"sessionContext": None}, {"sessionContext": {"sessionIssuer": "x"}}, by("")])
def test_an_unknown_caller_is_not_one_of_our_roles(identity: Any) -> None:
    assert about(changed("kms-disable-key", userIdentity=identity)) == (KEY,)


@pytest.mark.parametrize("member", ["SourceLocationName", "sourceLocationName"])
@pytest.mark.parametrize("holder", ["requestParameters", "responseElements"])
def test_a_location_is_found_in_either_case_in_request_or_response(holder: str, member: str) -> None:
    emptied: dict[str, Any] = {"requestParameters": None, "responseElements": None}

    assert about(changed("mediatailor-update-source-location", **emptied | {holder: {member: "sports-origin"}})) == (ACCESS,)


def test_an_encoded_name_is_decoded() -> None:
    event = changed("mediatailor-delete-source-location", requestParameters={"SourceLocationName": "sports%2Dorigin"})

    assert about(event) == (ACCESS,)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        (NAME, (SECRET,)),
        (PARTIAL, (SECRET,)),
        (f"{PARTIAL}-AbCdEf", (SECRET, f"{SECRET}-AbCdEf")),
        (f"{NAME}-AbCdEf", (f"{SECRET}-AbCdEf",)),
    ],
    ids=["name", "ARN without suffix", "ARN", "name that ends as an ARN does"],
)
@pytest.mark.parametrize("member", ["secretId", "SecretId"])
def test_a_secret_is_identified_as_its_caller_named_it(text: str, items: tuple[str, ...], member: str) -> None:
    event = changed("secretsmanager-delete-secret", requestParameters={member: text}, responseElements=None)

    assert about(event) == items


@pytest.mark.parametrize("member", ["arn", "aRN", "ARN"])
def test_the_arn_in_the_response_has_priority(member: str) -> None:
    event = changed(
        "secretsmanager-restore-secret",
        requestParameters={"secretId": "another"},
        responseElements={member: f"{PARTIAL}-AbCdEf"},
    )

    assert about(event) == ABOUT["secretsmanager"]


@pytest.mark.parametrize("text", [KEY, KEY_ID], ids=["ARN", "id"])
@pytest.mark.parametrize(
    "holder", [{"requestParameters": "keyId"}, {"responseElements": "keyId"}, {"serviceEventDetails": "keyId"}], ids=str
)
def test_a_key_is_found_in_the_parameters_without_a_resource(holder: dict[str, str], text: str) -> None:
    emptied: dict[str, Any] = {"resources": [], "requestParameters": None, "responseElements": None}
    named = {name: {member: text} for name, member in holder.items()}

    assert about(changed("kms-disable-key", **emptied | named)) == (KEY,)


def test_the_resources_of_a_record_are_read_last() -> None:
    event = changed("secretsmanager-delete-secret", requestParameters=None, responseElements=None)
    event["detail"] |= {"resources": [{"ARN": f"{PARTIAL}-AbCdEf"}]}

    assert about(event) == ABOUT["secretsmanager"]


@pytest.mark.parametrize("place", ELSEWHERE, ids=["another account", "another Region"])
def test_items_of_other_accounts_and_regions_are_ignored_except_plain_ids(place: Place) -> None:
    key, secret = place.arn("kms", f"key/{KEY_ID}"), place.arn("secretsmanager", f"secret:{NAME}-AbCdEf")

    assert read(changed("kms-disable-key", resources=[{"ARN": key}], requestParameters={"keyId": KEY_ID})) is None
    assert read(changed("secretsmanager-delete-secret", responseElements={"arn": secret})) is None


ARNS = {
    "mediatailor": PLACE.arn("mediatailor", "sourceLocation/sports-origin"),
    "kms": KEY,
    "secretsmanager": f"{PARTIAL}-AbCdEf",
}
# CloudTrail writes a text in the place of a member that is too long, or omits it.
CUT: dict[str, Any] = {"a text": '{"SourceLocationName": "sports-', "nothing": None, "a list": ["a", 7, {}], "a number": 7}


@pytest.mark.parametrize("cut", CUT.values(), ids=CUT)
@samples
def test_a_record_without_its_parameters_counts_by_its_resources(sample: str, cut: Any) -> None:
    members = ("requestParameters", "responseElements", "additionalEventData", "serviceEventDetails")
    arn = ARNS[sample.partition("-")[0]]

    record = changed(sample, **dict.fromkeys(members, cut), resources=["a", {"ARN": arn, "accountId": PLACE.account}])

    assert about(record) == ABOUT[sample.partition("-")[0]]


@pytest.mark.parametrize("place", ELSEWHERE, ids=["another account", "another Region"])
def test_a_source_location_of_another_account_or_region_is_ignored(place: Place) -> None:
    resources = [{"ARN": place.arn("mediatailor", "sourceLocation/sports-origin")}]

    assert read(changed("mediatailor-delete-source-location", requestParameters="cut", resources=resources)) is None


@pytest.mark.parametrize("text", ["", " ", "a b", "a\n", "é", "\ud800", "x" * 513, None, 5, ["a"], {"a": "b"}], ids=repr)
def test_a_name_that_no_access_can_have_is_ignored(text: Any) -> None:
    assert read(changed("mediatailor-delete-source-location", requestParameters={"SourceLocationName": text})) is None


@pytest.mark.parametrize("arn", [PLACE.arn("kms", "key/"), PLACE.arn("kms", "alias/a")])
def test_an_arn_of_no_key_is_ignored(arn: str) -> None:
    assert read(changed("kms-disable-key", resources=[{"ARN": arn}])) is None


def test_an_arn_of_no_secret_is_ignored() -> None:
    nameless = {"arn": PLACE.arn("secretsmanager", "secret:")}

    assert read(changed("secretsmanager-delete-secret", responseElements=nameless)) is None


@pytest.mark.parametrize("member", ["eventID", "eventName", "eventTime", "eventSource"])
@pytest.mark.parametrize("value", [None, [], "", "\ud800", "x y", "x" * 200])
def test_an_incomplete_record_is_ignored(member: str, value: Any) -> None:
    assert read(changed("kms-disable-key", **{member: value})) is None


def test_a_time_without_a_time_zone_is_ignored() -> None:
    assert read(changed("kms-disable-key", eventTime="2026-11-22T08:00:00")) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
MEMBERS = sorted({member for event in SAMPLES.values() for member in event["detail"]} | {"errorCode"})


@given(JSON)
def test_any_other_value_is_ignored(event: Any) -> None:
    assert read(event) is None


@settings(deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.dictionaries(st.sampled_from(MEMBERS), JSON, min_size=1))
def test_any_record_is_read_or_ignored(sample: str, members: dict[str, Any]) -> None:
    concern = read(changed(sample, **members))

    assert concern is None or len(concern.trail_event.model_dump_json()) < 512
