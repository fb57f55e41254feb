"""What the events in events/functions are about: accesses in every state of their lives, with the ids the events name."""

import copy
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from ministack.services import kms, secretsmanager

from local_aws.assumptions import CURRENT
from local_aws.developing import functions
from local_aws.embedded import ACCOUNT, REGION, REPOSITORY

_EVENTS = REPOSITORY / "events" / "functions"
_EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:latchkey-onboard-access:sample"

# Each location's key; the suffix of its secret is how the key's id begins, its grant's id the hash of it.
KEYS = {
    "news-origin": "1234abcd-12ab-34cd-56ef-1234567890ab",
    "live-origin": "2345bcde-23bc-45de-67fa-2345678901bc",
    "lost-origin": "3456cdef-34cd-56ef-78ab-3456789012cd",
    "gone-origin": "4567defa-45de-67fa-89bc-4567890123de",
    "swept-origin": "5678efab-56ef-78ab-90cd-5678901234ef",
}
_LONG_AGO = 1767225600  # 2026-01-01
_NUMBERS = {name: number for number, name in enumerate(("film-origin", *KEYS, "song-origin"), start=1)}


def furnish_samples(endpoint: str, stack: str) -> None:
    """Lets the deployed functions onboard the locations of the events: some half, some whole, two to be left by their owner.

    No hint of it is heard, so that what is left stays for the events to find, and their grants are older than the events.
    """
    CURRENT.update({"trail": {"lose": 1}, "mediatailorRetires": "never", "clockSeconds": _LONG_AGO})
    samples = _Samples(endpoint, stack)
    for name, key_id in KEYS.items():
        with _ids(key_id):
            samples.onboard(name, whole=name in ("live-origin", "gone-origin", "swept-origin"))
    for name in ("gone-origin", "swept-origin"):
        samples.client("mediatailor").delete_source_location(SourceLocationName=name)
    samples.end_an_execution("live-origin")
    CURRENT.reset()


def execution_input(name: str) -> dict[str, Any]:
    """What the gate starts an execution with, for the sample request with a location, a key and an id of its own."""
    detail = copy.deepcopy(json.loads((_EVENTS / "receive_request.json").read_text())["detail"])
    detail["resource"]["sourceLocation"] = name
    detail["key"]["alias"] = f"alias/latchkey/{name.removesuffix('-origin')}"
    request_id = f"0a1f4c6e-58d2-4b39-9e70-1c2d3e4f5a{_NUMBERS[name]:02}"
    content = json.dumps({**detail, "requestId": None}, sort_keys=True)
    return {
        "requestId": request_id,
        "contentHash": hashlib.sha256(content.encode()).hexdigest(),
        "system": detail["system"],
        "accessId": f"mediatailor/sourceLocation/{name}",
        "request": detail | {"requestId": request_id},
        "confirms": False,
        "problems": [],
    }


class _Samples:
    def __init__(self, endpoint: str, stack: str) -> None:
        self._endpoint, self._functions = endpoint, functions(endpoint, stack)
        self._lambda = self.client("lambda")

    def client(self, service: str) -> Any:
        make: Any = boto3.client
        return make(service, endpoint_url=self._endpoint)

    def onboard(self, name: str, *, whole: bool) -> None:
        """Makes the key and the secret of a location; as a `whole`, everything up to the report."""
        asked = execution_input(name)
        request = {"request": asked["request"]}
        self._invoke("CheckRequest", asked | {"executionArn": _EXECUTION})
        key = self._invoke("CreateKey", request)
        secret = self._invoke("CreateSecret", request | {"key": key})["arn"]
        if not whole:
            return
        for step in ("AttachPolicies", "ConfigureAccess"):
            self._invoke(step, request | {"key": key, "secretArn": secret})
        validated = self._invoke("ValidateAccess", request | {"keyArn": key["arn"], "secretArn": secret})
        reached = {member: validated[member] for member in ("resources", "status")}
        self._invoke("RecordAccess", request | reached)
        told = {member: asked[member] for member in ("requestId", "contentHash", "system", "accessId")}
        self._invoke("ReportOutcome", told | {"detailType": "Access Onboarded", "changed": True, "executionArn": _EXECUTION})

    def end_an_execution(self, name: str) -> None:
        """An execution under the name that events know, which ended before it could report."""
        client = self.client("stepfunctions")
        definition = {"StartAt": "End", "States": {"End": {"Type": "Fail", "Error": "Ended"}}}
        role = f"arn:aws:iam::{ACCOUNT}:role/Origin"
        machine = client.create_state_machine(name="latchkey-onboard-access", definition=json.dumps(definition), roleArn=role)
        client.start_execution(
            stateMachineArn=machine["stateMachineArn"], name="sample", input=json.dumps(execution_input(name))
        )

    def _invoke(self, verb: str, event: dict[str, Any]) -> Any:
        answer = self._lambda.invoke(FunctionName=self._functions[f"{verb}Function"], Payload=json.dumps(event))
        told = json.load(answer["Payload"])
        if "FunctionError" in answer:
            raise RuntimeError(f"{verb} of a sample failed: {told.get('errorType')} {told.get('errorMessage')}")
        return told


@contextmanager
def _ids(key_id: str) -> Iterator[None]:
    """Within it, keys and secrets get ids that follow from this one, as events in files need them."""
    modules, made = (kms, secretsmanager), kms.new_uuid
    try:
        for module in modules:
            module.new_uuid = lambda: key_id
        yield
    finally:
        for module in modules:
            module.new_uuid = made
