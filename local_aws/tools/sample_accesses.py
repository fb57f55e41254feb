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
}
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
)
_NUMBERS = {name: number for number, name in enumerate(_NAMES, start=1)}
_RECORDED = ("live-origin", "gone-origin", "swept-origin")


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
    }


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
