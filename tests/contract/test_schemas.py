"""The schemas in events/schemas are generated from the models, and accept and reject the same details as the models."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from latchkey.errors import InvalidRequest
from latchkey.events.outcomes import CaughtError, Check, Outcome, Resources
from latchkey.onboarding.receive_request import RequestEvent, execution_input
from latchkey.onboarding.report_outcome import Report, outcome_of
from latchkey.requests.parsing import parse_onboarding
from latchkey.systems.system import Handoff
from tests.contract.sample_requests import ENTRIES, ONBOARDINGS, schema_name
from tests.contract.schemas import FOLDER, schemas, validator

KEY = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:origin/token-AbCdEf"
COMMON: dict[str, Any] = {
    "requestId": "request-1",
    "contentHash": "c" * 64,
    "executionArn": "arn:aws:states:us-east-1:000000000000:execution:a:b",
}


@pytest.mark.parametrize(("name", "schema"), schemas().items(), ids=schemas())
def test_a_schema_file_is_generated_from_its_model(
    agrees: Callable[[Path, Any], None], name: str, schema: dict[str, Any]
) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"]
    assert schema["description"]
    agrees(FOLDER / f"{name}.json", schema)


def test_there_is_no_schema_file_without_a_model() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(schemas())


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_a_sample_request_fits_its_schema_and_its_model(entry: dict[str, Any]) -> None:
    event = RequestEvent.model_validate({"id": "event-id", "detail-type": entry["DetailType"], "detail": entry["Detail"]})

    validator(schema_name(entry)).validate(entry["Detail"])
    recorded = parse_onboarding({"requestId": "request-1"} | ONBOARDINGS["onboard-mediatailor-handed-off"])
    built = execution_input(event, lambda _: recorded)
    assert built.request or built.asked


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_a_sample_request_fits_no_other_schema(entry: dict[str, Any]) -> None:
    """Requests about recorded accesses or a system can have the same members: their detail type says what they ask for."""
    about_recorded = {"handoff-confirmed", "offboarding-requested", "restoration-requested"}
    about_recorded |= {"rotation-requested", "rotation-confirmed", "reconciliation-requested", "discovery-requested"}
    own = schema_name(entry)
    others = {schema_name(other) for other in ENTRIES.values()} - (about_recorded if own in about_recorded else {own})

    assert {name for name in others if validator(name).is_valid(entry["Detail"])} == set()


def changed_sample(path: str, value: Any, sample: str = "onboard-mediatailor") -> dict[str, Any]:
    """The detail of a sample request with the member at `path` set to `value`, or removed if that is `...`."""
    changed: dict[str, Any] = copy.deepcopy(ONBOARDINGS[sample])
    *parents, last = path.split(".")
    node = changed
    for parent in parents:
        node = node.setdefault(parent, {})
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return changed


VALID = {
    "a request id": ("requestId", "request-1"),
    "the shortest token": ("secret.value.generate.length", 8),
    "the longest token": ("secret.value.generate.length", 128),
    "a value copied from another secret": ("secret.value", {"copyFrom": {"secretArn": SECRET, "key": "password"}}),
    "an existing secret": ("secret.value", {"existing": {"secretArn": SECRET}}),
    "a key by ARN": ("key", {"arn": KEY}),
    "no secret": ("secret", ...),
    "no tags": ("tags", ...),
}
INVALID = {
    "another version": ("version", "2"),
    "an unknown member": ("color", "red"),
    "an unknown system": ("system", "unknown"),
    "no system": ("system", ...),
    "no resource": ("resource", ...),
    "an invalid request id": ("requestId", "with space"),
    "an invalid source location name": ("resource.sourceLocation", "sports origin"),
    "a header with a line break": ("resource.header", "X-Origin\nToken"),
    "a number as a string": ("secret.value.generate.length", "40"),
    "7 characters": ("secret.value.generate.length", 7),
    "129 characters": ("secret.value.generate.length", 129),
    "two values": ("secret.value", {"generate": {}, "existing": {"secretArn": SECRET}}),
    "no value": ("secret.value", {}),
    "a token as the value": ("secret.value", "not-a-real-token"),
    "a token as a member": ("secret.value.token", "not-a-real-token"),
    "a secret by its name": ("secret.value", {"existing": {"secretArn": "origin/token"}}),
    "a rotation period that is too short": ("key.rotationDays", 89),
    "a user instead of a role": ("managementRoles", ["arn:aws:iam::000000000000:user/somebody"]),
    "a tag that is not a string": ("tags", {"team": 5}),
    "a tag with an invalid name": ("tags", {"te*am": "sports"}),
}


@pytest.mark.parametrize(("path", "value"), VALID.values(), ids=VALID)
def test_the_schema_accepts_what_the_model_accepts(path: str, value: Any) -> None:
    detail = changed_sample(path, value)

    assert parse_onboarding({"requestId": "event-id"} | detail)
    validator("onboard-mediatailor").validate(detail)


@pytest.mark.parametrize(("path", "value"), INVALID.values(), ids=INVALID)
def test_the_schema_rejects_what_the_model_rejects(path: str, value: Any) -> None:
    detail = changed_sample(path, value)

    with pytest.raises(InvalidRequest):
        parse_onboarding({"requestId": "event-id"} | detail)
    assert not validator("onboard-mediatailor").is_valid(detail)


SOURCE, PASSWORD, PARTNER = (
    "onboard-mediaconnect-source",
    "onboard-mediaconnect-srt-password",
    "onboard-adobe-experience-platform",
)
PER_SYSTEM = {
    "the length of the algorithm": (SOURCE, "secret.value", {"generate": {"length": 64}}, True),
    "the length of another algorithm": (SOURCE, "secret.value", {"generate": {"length": 32}}, False),
    "a password of 79 characters": (PASSWORD, "secret.value.generate.length", 79, True),
    "a password of 80 characters": (PASSWORD, "secret.value.generate.length", 80, False),
    "two parts of a flow": (SOURCE, "resource.output", "distribution", False),
    "no part of a flow": (SOURCE, "resource.source", ..., False),
    "a static key without an algorithm": (SOURCE, "resource.algorithm", ..., False),
    "a password with an algorithm": (PASSWORD, "resource.algorithm", "aes128", False),
    "a password for an entitlement": ("onboard-mediaconnect-entitlement", "resource.keyType", "srt-password", False),
    "no management roles": (SOURCE, "managementRoles", [], True),
    "management roles for a system that has none": (SOURCE, "managementRoles", ["arn:aws:iam::000000000000:role/A"], False),
    "a length that is not that of a UUID": ("onboard-mediapackage", "secret.value.generate.length", 40, False),
    "a secret for a partner key": (PARTNER, "secret", {}, False),
    "no partner statement": (PARTNER, "resource.partnerStatements", [], False),
    "configuring a resource that no API configures": (PARTNER, "resource.configure", True, False),
    "a resource that is handed off": ("onboard-mediapackagev2", "resource.configure", False, True),
}


@pytest.mark.parametrize(("sample", "path", "value", "accepted"), PER_SYSTEM.values(), ids=PER_SYSTEM)
def test_the_model_and_the_schema_of_a_system_accept_the_same_details(
    sample: str, path: str, value: Any, accepted: bool
) -> None:
    detail = changed_sample(path, value, sample)
    built = execution_input(RequestEvent(id="event-id", detail=detail), lambda _: None)

    assert (built.request is not None) is accepted
    assert validator(f"onboard-{detail['system']}").is_valid(detail) is accepted


@pytest.mark.parametrize("actions", [["kms:Decrypt"], ["kms:*"]])
def test_the_model_and_the_schema_reject_a_partner_statement_with_other_actions(actions: list[str]) -> None:
    detail = changed_sample("tags", ..., PARTNER)
    detail["resource"]["partnerStatements"][0]["Action"] = actions

    assert execution_input(RequestEvent(id="event-id", detail=detail), lambda _: None).request is None
    assert not validator(PARTNER).is_valid(detail)


def _outcome(detail_type: Any, **members: Any) -> Outcome:
    return outcome_of(Report(detailType=detail_type, **COMMON, **members))


PROBLEMS = json.dumps({"problems": [{"place": "system", "rule": "is missing"}]})
OUTCOMES = {
    "access-onboarded": _outcome(
        "Access Onboarded",
        accessId="mediatailor/sourceLocation/sports-origin",
        system="mediatailor",
        changed=True,
        checks=(Check(name="key is enabled", passed=True, evidence=KEY),),
        resources=Resources(keyArn=KEY, secretArn=SECRET),
    ),
    "access-handed-off": _outcome(
        "Access Handed Off",
        accessId="mediatailor/sourceLocation/sports-origin",
        system="mediatailor",
        changed=True,
        checks=(Check(name="key is enabled", passed=True, evidence=KEY),),
        resources=Resources(keyArn=KEY, secretArn=SECRET),
        handoff=Handoff(values={"SecretArn": SECRET}, steps=("Set it.",), cloudFormation={"SourceLocation": {"Type": "A"}}),
        effectDelaySeconds=600,
    ),
    "request-rejected": _outcome(
        "Request Rejected",
        caught=CaughtError(Error="InvalidRequest", Cause=json.dumps({"errorType": "InvalidRequest", "errorMessage": PROBLEMS})),
    ),
    "request-failed": _outcome(
        "Request Failed", caught=CaughtError(Error="States.Timeout", Cause=""), undone=(f"{KEY} is deleted",)
    ),
}
outcomes = pytest.mark.parametrize(("name", "outcome"), OUTCOMES.items(), ids=OUTCOMES)


def published(outcome: Outcome) -> dict[str, Any]:
    """The detail of an outcome, as `report_outcome` publishes it."""
    document: dict[str, Any] = json.loads(outcome.model_dump_json(by_alias=True, exclude_none=True))
    return document


@outcomes
def test_an_outcome_fits_its_schema_and_no_other(name: str, outcome: Outcome) -> None:
    fitting = {other for other in OUTCOMES if validator(other).is_valid(published(outcome))}

    assert fitting == {name}


@outcomes
@pytest.mark.parametrize("member", ["requestId", "outcomeId", "status", "changed", "executionArn"])
def test_an_outcome_without_a_common_member_does_not_fit_its_schema(name: str, outcome: Outcome, member: str) -> None:
    incomplete = {key: value for key, value in published(outcome).items() if key != member}

    assert not validator(name).is_valid(incomplete)
