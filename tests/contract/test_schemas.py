"""events/schemas: generated from the models, true of the samples, and refusing what the models refuse."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from latchkey.errors import InvalidRequest
from latchkey.events.outcomes import CaughtError, CheckResult, Outcome, Resources
from latchkey.onboarding.receive_request import RequestEvent, execution_input
from latchkey.onboarding.report_outcome import Report, outcome_of
from latchkey.requests.parsing import parse_onboarding
from latchkey.systems.system import Handoff
from tests.contract.artefacts import ROOT
from tests.contract.schemas import schemas
from tests.contract.sent import ONBOARDINGS, SENT, schema_of

FOLDER = ROOT / "events/schemas"
KEY = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:origin/token-AbCdEf"
COMMON: dict[str, Any] = {
    "requestId": "request-1",
    "contentHash": "c" * 64,
    "executionArn": "arn:aws:states:us-east-1:000000000000:execution:a:b",
}


def validator(name: str) -> jsonschema.Draft202012Validator:
    """Of the schema as it is kept in the repository."""
    return jsonschema.Draft202012Validator(json.loads((FOLDER / f"{name}.json").read_text()))


@pytest.mark.parametrize(("name", "schema"), schemas().items(), ids=schemas())
def test_a_kept_schema_is_what_the_model_says(agrees: Callable[[Path, Any], None], name: str, schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"]
    assert schema["description"]
    agrees(FOLDER / f"{name}.json", schema)


def test_no_schema_is_kept_that_no_model_has() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(schemas())


@pytest.mark.parametrize("entry", SENT.values(), ids=SENT)
def test_a_sample_request_fits_its_schema_and_its_model(entry: dict[str, Any]) -> None:
    event = RequestEvent.model_validate({"id": "event-id", "detail-type": entry["DetailType"], "detail": entry["Detail"]})

    validator(schema_of(entry)).validate(entry["Detail"])
    recorded = parse_onboarding({"requestId": "request-1"} | ONBOARDINGS["onboard-mediatailor-handed-off"])
    assert execution_input(event, lambda _: recorded).request


@pytest.mark.parametrize("entry", SENT.values(), ids=SENT)
def test_a_sample_request_fits_no_other_schema(entry: dict[str, Any]) -> None:
    requests = {schema_of(other) for other in SENT.values()}

    assert {name for name in requests if validator(name).is_valid(entry["Detail"])} == {schema_of(entry)}


def _with(place: str, value: Any, sample: str = "onboard-mediatailor") -> dict[str, Any]:
    """A sample with one member set, or left out by `...`."""
    changed: dict[str, Any] = copy.deepcopy(ONBOARDINGS[sample])
    *parents, last = place.split(".")
    node = changed
    for parent in parents:
        node = node.setdefault(parent, {})
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return changed


GOOD = {
    "an id of its own": ("requestId", "request-1"),
    "the shortest token": ("secret.value.generate.length", 8),
    "the longest token": ("secret.value.generate.length", 128),
    "an import": ("secret.value", {"copyFrom": {"secretArn": SECRET, "key": "password"}}),
    "an adoption": ("secret.value", {"existing": {"secretArn": SECRET}}),
    "a key by ARN": ("key", {"arn": KEY}),
    "no secret": ("secret", ...),
    "no tags": ("tags", ...),
}
BAD = {
    "another version": ("version", "2"),
    "an unknown member": ("colour", "red"),
    "an unknown system": ("system", "unknown"),
    "no system": ("system", ...),
    "no resource": ("resource", ...),
    "a bad id": ("requestId", "with space"),
    "a bad location name": ("resource.sourceLocation", "sports origin"),
    "a header with a line break": ("resource.header", "X-Origin\nToken"),
    "a text for a number": ("secret.value.generate.length", "40"),
    "7 characters": ("secret.value.generate.length", 7),
    "129 characters": ("secret.value.generate.length", 129),
    "two values": ("secret.value", {"generate": {}, "existing": {"secretArn": SECRET}}),
    "no value": ("secret.value", {}),
    "a token": ("secret.value", "not-a-real-token"),
    "a token as a member": ("secret.value.token", "not-a-real-token"),
    "a secret by name": ("secret.value", {"existing": {"secretArn": "origin/token"}}),
    "a rotation too often": ("key.rotationDays", 89),
    "a user for a role": ("managementRoles", ["arn:aws:iam::000000000000:user/somebody"]),
    "a tag of no text": ("tags", {"team": 5}),
    "a tag with a bad name": ("tags", {"te*am": "sports"}),
}


@pytest.mark.parametrize(("place", "value"), GOOD.values(), ids=GOOD)
def test_what_the_model_takes_fits_the_schema(place: str, value: Any) -> None:
    detail = _with(place, value)

    assert parse_onboarding({"requestId": "event-id"} | detail)
    validator("onboard-mediatailor").validate(detail)


@pytest.mark.parametrize(("place", "value"), BAD.values(), ids=BAD)
def test_what_the_model_refuses_does_not_fit_the_schema(place: str, value: Any) -> None:
    detail = _with(place, value)

    with pytest.raises(InvalidRequest):
        parse_onboarding({"requestId": "event-id"} | detail)
    assert not validator("onboard-mediatailor").is_valid(detail)


SOURCE, PASSWORD, PARTNER = (
    "onboard-mediaconnect-source",
    "onboard-mediaconnect-srt-password",
    "onboard-adobe-experience-platform",
)
OF_SYSTEMS = {
    "an algorithm's own length": (SOURCE, "secret.value", {"generate": {"length": 64}}, True),
    "another algorithm's length": (SOURCE, "secret.value", {"generate": {"length": 32}}, False),
    "a password of 80": (PASSWORD, "secret.value.generate.length", 80, True),
    "a password of 81": (PASSWORD, "secret.value.generate.length", 81, False),
    "two parts": (SOURCE, "resource.output", "distribution", False),
    "no part": (SOURCE, "resource.source", ..., False),
    "a static key without algorithm": (SOURCE, "resource.algorithm", ..., False),
    "a password with algorithm": (PASSWORD, "resource.algorithm", "aes128", False),
    "a password for an entitlement": ("onboard-mediaconnect-entitlement", "resource.keyType", "srt-password", False),
    "no managers": (SOURCE, "managementRoles", [], True),
    "managers whom the system does not know": (SOURCE, "managementRoles", ["arn:aws:iam::000000000000:role/A"], False),
    "another length than a UUID has": ("onboard-mediapackage", "secret.value.generate.length", 40, False),
    "a secret for a partner": (PARTNER, "secret", {}, False),
    "no statement": (PARTNER, "resource.partnerStatements", [], False),
    "a resource that no call can set": (PARTNER, "resource.configure", True, False),
    "a resource handed off": ("onboard-mediapackagev2", "resource.configure", False, True),
}


@pytest.mark.parametrize(("sample", "place", "value", "taken"), OF_SYSTEMS.values(), ids=OF_SYSTEMS)
def test_model_and_schema_of_every_system_take_the_same(sample: str, place: str, value: Any, taken: bool) -> None:
    detail = _with(place, value, sample)
    known = execution_input(RequestEvent(id="event-id", detail=detail), lambda _: None)

    assert (known.request is not None) is taken
    assert validator(f"onboard-{detail['system']}").is_valid(detail) is taken


@pytest.mark.parametrize("actions", [["kms:Decrypt"], ["kms:*"]])
def test_a_partner_s_statement_with_other_actions_fits_neither_model_nor_schema(actions: list[str]) -> None:
    detail = _with("tags", ..., PARTNER)
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
        checks=(CheckResult(name="key is enabled", passed=True, evidence=KEY),),
        resources=Resources(keyArn=KEY, secretArn=SECRET),
    ),
    "access-handed-off": _outcome(
        "Access Handed Off",
        accessId="mediatailor/sourceLocation/sports-origin",
        system="mediatailor",
        changed=True,
        checks=(CheckResult(name="key is enabled", passed=True, evidence=KEY),),
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
    """As report_outcome writes it."""
    document: dict[str, Any] = json.loads(outcome.model_dump_json(by_alias=True, exclude_none=True))
    return document


@outcomes
def test_an_outcome_fits_its_schema_and_no_other(name: str, outcome: Outcome) -> None:
    fitting = {other for other in OUTCOMES if validator(other).is_valid(published(outcome))}

    assert fitting == {name}


@outcomes
@pytest.mark.parametrize("member", ["requestId", "outcomeId", "status", "changed", "executionArn"])
def test_an_outcome_without_a_member_does_not_fit(name: str, outcome: Outcome, member: str) -> None:
    lacking = {key: value for key, value in published(outcome).items() if key != member}

    assert not validator(name).is_valid(lacking)
