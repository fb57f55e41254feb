"""Sample data for the events in events/functions: accesses in different states, with the ids in the events."""

import copy
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from ministack.services import kms, secretsmanager

from local_aws.emulator.account import ACCOUNT, REGION
from local_aws.emulator.assumptions import CURRENT
from local_aws.tools.embedded_aws import REPOSITORY
from local_aws.tools.sam_local import function_names

_EVENTS = REPOSITORY / "events" / "functions"
_MACHINE = "latchkey-onboard-access"

# Key ids by source location. The suffix of the secret is the start of the key id, and the grant id is its hash.
KEYS = {
    "news-origin": "1234abcd-12ab-34cd-56ef-1234567890ab",
    "live-origin": "2345bcde-23bc-45de-67fa-2345678901bc",
    "lost-origin": "3456cdef-34cd-56ef-78ab-3456789012cd",
    "gone-origin": "4567defa-45de-67fa-89bc-4567890123de",
    "swept-origin": "5678efab-56ef-78ab-90cd-5678901234ef",
    "show-origin": "6789fabc-67fa-89bc-01de-6789012345fa",
    "open-origin": "7890abcd-78ab-90cd-12ef-7890123456ab",
    "idle-origin": "8901bcde-89bc-01de-23fa-8901234567bc",
    "dark-origin": "9012cdef-90cd-12ef-34ab-9012345678cd",
    "past-origin": "0123defa-01de-23fa-45bc-0123456789de",
    "shut-origin": "a234efab-a2ef-34ab-56cd-a234567890ef",
    "back-origin": "b345fabc-b3fa-45bc-67de-b345678901fa",
}
# The accesses whose token is rotated, up to the step that an event is for.
ROTATED = {
    "turn-origin": "c456abcd-c4ab-56cd-78ef-c456789012ab",
    "spin-origin": "d567bcde-d5bc-67de-89fa-d567890123bc",
    "gyre-origin": "e678cdef-e6cd-78ef-90ab-e678901234cd",
    "roll-origin": "f789defa-f7de-89fa-01bc-f789012345de",
    "loop-origin": "0890efab-08ef-90ab-12cd-0890123456ef",
}
KEYS |= ROTATED
_CREATED = 1767225600  # 2026-01-01
# Accesses whose request has only passed its rules.
_CHECKED = ("film-origin", "song-origin")
_NAMES = (
    "film-origin",
    "news-origin",
    "live-origin",
    "lost-origin",
    "gone-origin",
    "swept-origin",
    "song-origin",
    "show-origin",
    *("open-origin", "idle-origin", "dark-origin", "past-origin", "shut-origin", "back-origin"),
)
_NUMBERS = {name: number for number, name in enumerate(_NAMES, start=1)}
_OFFBOARDING = ("CheckOffboarding", "DetachResource", "RemovePolicies", "DeleteSecret", "RecordOffboarding")
# The accesses that are offboarded, up to the step that an event is for.
_OFFBOARDED = {
    "idle-origin": _OFFBOARDING[:1],
    "dark-origin": _OFFBOARDING[:2],
    "past-origin": _OFFBOARDING[:3],
    "shut-origin": _OFFBOARDING[:4],
    "back-origin": _OFFBOARDING,
}
_NUMBERS |= {name: number for number, name in enumerate(ROTATED, start=61)}
_RECORDED = ("live-origin", "gone-origin", "swept-origin", "open-origin", *_OFFBOARDED, *ROTATED)


def create_sample_accesses(endpoint: str, stack: str) -> None:
    """Onboards the source locations in the events with the deployed functions, and deletes two of the source locations.

    Some are onboarded completely, and some up to the step that an event is for. Trail events are lost meanwhile, so that the
    orphaned grants remain, and the grants are dated before the events.
    """
    CURRENT.update({"trail": {"lose": 1}, "mediatailorRetires": "never", "clockSeconds": _CREATED})
    samples = _Samples(endpoint, stack)
    for name, key_id in KEYS.items():
        with _fixed_ids(key_id):
            samples.onboard(name)
    for name in _CHECKED:
        samples.check(name)
    for name, steps in _OFFBOARDED.items():
        samples.offboard(name, steps)
    samples.request_restoration("back-origin")
    for name in [*ROTATED][1:]:
        samples.stage_token(name)
    for name in ("gone-origin", "swept-origin"):
        samples.client("mediatailor").delete_source_location(SourceLocationName=name)
    samples.create_failed_execution("lost-origin")
    CURRENT.reset()


def execution_arn(name: str) -> str:
    """Returns the execution that onboards a source location in the events."""
    return f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{_MACHINE}:{name}"


def execution_input(name: str) -> dict[str, Any]:
    """Returns the execution input for the sample request, with the names of one source location."""
    detail = copy.deepcopy(json.loads((_EVENTS / "receive_request.json").read_text())["detail"])
    detail["resource"]["sourceLocation"] = name
    detail["key"]["alias"] = f"alias/latchkey/{name.removesuffix('-origin')}"
    request_id = f"0a1f4c6e-58d2-4b39-9e70-1c2d3e4f5a{_NUMBERS[name]:02}"
    content = json.dumps({**detail, "requestId": None}, sort_keys=True)
    return {
        "requestId": request_id,
        "contentHash": hashlib.sha256(content.encode()).hexdigest(),
        "eventId": request_id,
        "tenant": "default",
        "senderAccount": "",
        "system": detail["system"],
        "accessId": f"mediatailor/sourceLocation/{name}",
        "request": detail | {"requestId": request_id},
        "confirms": False,
        "problems": [],
        "kind": "Onboarding Requested",
        "asked": None,
        "resumes": None,
        "repair": None,
    }


def offboarding_step(name: str) -> dict[str, Any]:
    """Returns what the steps of the offboarding of a source location in the events receive."""
    onboarded = execution_input(name)
    request_id = f"0b1f4c6e-58d2-4b39-9e70-1c2d3e4f5a{_NUMBERS[name]:02}"
    return {
        "request": onboarded["request"] | {"requestId": request_id},
        "asked": {"requestId": request_id, "accessId": onboarded["accessId"]},
        "tenant": "default",
        "executionArn": f"arn:aws:states:{REGION}:{ACCOUNT}:execution:latchkey-offboard-access:{name}",
    }


def offboarding_input(name: str) -> dict[str, Any]:
    """Returns the execution input for the offboarding of a source location in the events, with its execution."""
    step = offboarding_step(name)
    asked = step["asked"]
    content = json.dumps({**asked, "requestId": None, "detail-type": "Offboarding Requested"}, sort_keys=True)
    known = {"requestId": asked["requestId"], "eventId": asked["requestId"], "kind": "Offboarding Requested"}
    return execution_input(name) | known | {"contentHash": hashlib.sha256(content.encode()).hexdigest()} | step


def rotation_step(name: str) -> dict[str, Any]:
    """Returns what every step of the rotation of a source location in the events receives, except for its plan."""
    onboarded = execution_input(name)
    request_id = f"0d1f4c6e-58d2-4b39-9e70-1c2d3e4f5a{_NUMBERS[name]:02}"
    return {
        "request": onboarded["request"] | {"requestId": request_id},
        "tenant": "default",
        "executionArn": f"arn:aws:states:{REGION}:{ACCOUNT}:execution:latchkey-rotate-token:{name}",
    }


def rotation_input(name: str) -> dict[str, Any]:
    """Returns the execution input for the rotation of a source location in the events, with its execution."""
    step, onboarded = rotation_step(name), execution_input(name)
    request_id = step["request"]["requestId"]
    asked = {"requestId": request_id, "accessId": onboarded["accessId"]}
    content = json.dumps({**asked, "requestId": None, "detail-type": "Rotation Requested"}, sort_keys=True)
    known = {"requestId": request_id, "eventId": request_id, "kind": "Rotation Requested", "asked": asked}
    return onboarded | known | {"contentHash": hashlib.sha256(content.encode()).hexdigest()} | step


class _Samples:
    def __init__(self, endpoint: str, stack: str) -> None:
        self._endpoint, self._functions = endpoint, function_names(endpoint, stack)
        self._lambda = self.client("lambda")

    def client(self, service: str) -> Any:
        make: Any = boto3.client
        return make(service, endpoint_url=self._endpoint)

    def check(self, name: str) -> None:
        """Checks the request of a source location, which locks its access."""
        self._invoke("CheckRequest", execution_input(name) | {"executionArn": execution_arn(name)})

    def onboard(self, name: str) -> None:
        """Onboards a source location up to the step that an event is for."""
        execution, arn = execution_input(name), execution_arn(name)
        request = {"request": execution["request"], "tenant": execution["tenant"], "executionArn": arn}
        self.check(name)
        key = self._invoke("CreateKey", request)
        secret = self._invoke("CreateSecret", request | {"key": key})["arn"]
        if name in ("news-origin", "lost-origin"):
            return
        for step in ("AttachPolicies", "ConfigureAccess"):
            self._invoke(step, request | {"key": key, "secretArn": secret})
        if name not in _RECORDED:
            return
        validated = self._invoke("ValidateAccess", request | {"keyArn": key["arn"], "secretArn": secret})
        result = {member: validated[member] for member in ("resources", "status")}
        self._invoke("RecordAccess", request | result)
        identity = {member: execution[member] for member in ("requestId", "contentHash", "system", "accessId")}
        self._invoke("ReportOutcome", identity | {"detailType": "Access Onboarded", "changed": True, "executionArn": arn})

    def offboard(self, name: str, steps: tuple[str, ...]) -> None:
        """Offboards a source location up to the step that an event is for."""
        step = offboarding_step(name)
        for verb in steps:
            answer = self._invoke(verb, offboarding_input(name) if verb == "CheckOffboarding" else step)
        if steps == _OFFBOARDING:
            identity = {
                member: offboarding_input(name)[member] for member in ("requestId", "contentHash", "system", "accessId")
            }
            outcome = {"detailType": "Access Offboarded", "executionArn": step["executionArn"], **answer}
            self._invoke("ReportOutcome", identity | outcome)

    def request_restoration(self, name: str) -> None:
        """Checks the restoration of an offboarded source location, which locks its access."""
        content = execution_input(name)
        request_id = content["requestId"].replace("0a1f", "0c1f", 1)
        asked = {"requestId": request_id, "accessId": content["accessId"]}
        known = {"requestId": request_id, "contentHash": "c" * 64, "kind": "Restoration Requested", "asked": asked}
        known["request"] = content["request"] | {"requestId": request_id}
        self._invoke("CheckRequest", content | known | {"executionArn": execution_arn(f"{name}-again")})

    def stage_token(self, name: str) -> None:
        """Rotates the token of a source location up to the pending version."""
        plan = self._invoke("CheckRotation", rotation_input(name))
        members = ("secretArn", "version", "former", "value", "shortest", "longest")
        pending = {member: plan[member] for member in members}
        self._invoke("CreateSecret", rotation_step(name) | {"pending": pending})

    def create_failed_execution(self, name: str) -> None:
        """Creates the execution in the events, which failed before it reported an outcome."""
        client = self.client("stepfunctions")
        definition = {"StartAt": "End", "States": {"End": {"Type": "Fail", "Error": "Ended"}}}
        role = f"arn:aws:iam::{ACCOUNT}:role/Origin"
        machine = client.create_state_machine(name=_MACHINE, definition=json.dumps(definition), roleArn=role)
        client.start_execution(stateMachineArn=machine["stateMachineArn"], name=name, input=json.dumps(execution_input(name)))

    def _invoke(self, verb: str, event: dict[str, Any]) -> Any:
        answer = self._lambda.invoke(FunctionName=self._functions[f"{verb}Function"], Payload=json.dumps(event))
        output = json.load(answer["Payload"])
        if "FunctionError" in answer:
            raise RuntimeError(f"{verb} failed for a sample access: {output.get('errorType')} {output.get('errorMessage')}")
        return output


@contextmanager
def _fixed_ids(key_id: str) -> Iterator[None]:
    """Makes MiniStack use this id for new keys, and a part of it for new secrets."""
    modules, made = (kms, secretsmanager), kms.new_uuid
    try:
        for module in modules:
            module.new_uuid = lambda: key_id
        yield
    finally:
        for module in modules:
            module.new_uuid = made
