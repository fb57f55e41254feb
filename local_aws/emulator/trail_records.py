"""The CloudTrail records of API calls, in the format of each service. A record never contains the value of a secret.

https://docs.aws.amazon.com/kms/latest/developerguide/understanding-kms-entries.html
https://docs.aws.amazon.com/secretsmanager/latest/userguide/cloudtrail_log_entries.html
https://docs.aws.amazon.com/mediatailor/latest/ug/logging-using-cloudtrail.html
https://docs.aws.amazon.com/mediapackage/latest/userguide/logging-using-cloudtrail.html
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from botocore.parsers import create_parser
from ministack.services import kms, secretsmanager

from local_aws.emulator.api_calls import Call
from local_aws.emulator.asgi import Response
from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.authorization import Caller
from local_aws.emulator.service_models import Shape, match_route, service_model
from local_aws.emulator.trail import Record, base_record, key_arn_of, key_resource, user_identity

_MEDIA = ("mediatailor", "mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect")
RECORDED = ("kms", "secretsmanager", "iam", *_MEDIA)
_PASCAL_ON_THE_WIRE = ("mediatailor", "mediapackagev2")
# CloudTrail records the cryptographic operations of KMS as reads.
_READS = re.compile(
    "(Get|List|Describe|BatchGet|Simulate|Validate|Verify|Sign|Encrypt|Decrypt|ReEncrypt|GenerateDataKey|GenerateMac"
    "|GenerateRandom|GenerateCredentialReport|GenerateServiceLast|DeriveShared)"
)
_NEVER = {"SecretString", "SecretBinary", "Plaintext", "GrantTokens", "GrantToken"}
# The documented records of CreateGrant have no name.
_UNLOGGED = {("kms", "CreateGrant"): {"Name"}}
_NO_KMS_RESPONSE = {"PutKeyPolicy", "RetireGrant", "CreateAlias", "UpdateAlias", "DeleteAlias", "TagResource"}


def is_recorded(call: Call) -> bool:
    """Returns whether a call is a write operation of a recorded service."""
    if call.service not in RECORDED or _READS.match(call.operation):
        return False
    return call.operation in service_model(call.service).operation_names


def retired_grant(call: Call) -> dict[str, str]:
    """Returns `grantId` and `keyArn` of the grant that a call retires. Call it before the grant is gone."""
    if (call.service, call.operation) != ("kms", "RetireGrant"):
        return {}
    asked = _json(call.body)
    token = asked.get("GrantToken")
    for grant in list(kms._grants.values()):
        if grant["GrantId"] == asked.get("GrantId") or (token and token in grant["_tokens"]):
            return {"grantId": grant["GrantId"], "keyArn": grant["KeyId"]}
    return {}


def record_of(call: Call, caller: Caller, response: Response, grant: Mapping[str, str]) -> Record:
    """Returns the record of a call. `grant` is what `retired_grant` returned for it."""
    status, headers, body = response
    record = base_record(call.service, call.operation, caller.account, call.region) | {
        "userIdentity": user_identity(caller),
        "sourceIPAddress": "127.0.0.1",
        "userAgent": call.headers.get("user-agent", ""),
    }
    asked, answered = _request(call), _answer(call, status, headers, body)
    if status >= 400:
        code = str(answered.get("Error", {}).get("Code") or status)
        code = "AccessDenied" if code.startswith("AccessDenied") else code
        record |= {"errorCode": code, "errorMessage": answered.get("Error", {}).get("Message", "")}
        answered = {}
    shape = service_model(call.service).operation_model(call.operation).input_shape
    hidden = _UNLOGGED.get((call.service, call.operation), set())
    asked = {name: value for name, value in asked.items() if name not in hidden}
    record["requestParameters"] = _written(shape, asked, _member_case(call.service)) if shape and asked else None
    if call.service == "kms":
        return record | _kms(call, asked, answered, grant, failed=status >= 400)
    if call.service == "secretsmanager":
        return record | {"responseElements": _secretsmanager(asked, answered) if status < 400 else None}
    output = service_model(call.service).operation_model(call.operation).output_shape
    elements = _written(output, answered, _member_case(call.service)) if output and answered else None
    return record | {"responseElements": elements or None}


def _request(call: Call) -> dict[str, Any]:
    if call.protocol == "query":
        form = parse_qs(call.body.decode())
        return {name: values[0] for name, values in form.items() if name not in ("Action", "Version")}
    members = _json(call.body)
    found = match_route(service_model(call.service), call.method, call.raw_path, call.query, call.headers)
    if call.protocol == "rest-json" and found:
        shape = found[0].input_shape
        wires = {m.serialization.get("name", name): name for name, m in shape.members.items()} if shape else {}
        asked = members | {name: values[0] for name, values in call.query.items()} | found[1]
        return {wires[wire]: value for wire, value in asked.items() if wire in wires}
    return members


def _answer(call: Call, status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    model = service_model(call.service)
    parser = create_parser(model.metadata["protocol"])
    lower = {name.lower(): value for name, value in headers.items()}
    raw = {"status_code": status, "headers": lower, "body": body}
    output: Shape = model.operation_model(call.operation).output_shape
    answer: dict[str, Any] = parser.parse(raw, output)
    answer.pop("ResponseMetadata", None)
    return answer


def _kms(
    call: Call, asked: Mapping[str, Any], answered: Mapping[str, Any], grant: Mapping[str, str], *, failed: bool
) -> Record:
    key_id = answered.get("KeyMetadata", {}).get("Arn") or asked.get("TargetKeyId") or asked.get("KeyId") or ""
    arn = grant.get("keyArn") or key_arn_of(key_id)
    record: Record = {"resources": [key_resource(arn)] if arn else []}
    if call.operation == "RetireGrant":
        record |= {"requestParameters": None, "additionalEventData": {"grantId": grant.get("grantId")}}
    if failed or call.operation in _NO_KMS_RESPONSE:
        return record
    output = service_model("kms").operation_model(call.operation).output_shape
    elements = _written(output, answered, "camel") if output else {}
    return record | {"responseElements": elements | ({"keyId": arn} if call.operation != "CreateKey" else {})}


def _secretsmanager(asked: Mapping[str, Any], answered: Mapping[str, Any]) -> dict[str, Any]:
    if "ARN" not in answered:
        _, secret = secretsmanager._resolve(asked.get("SecretId"))
        return {"arn": secret["ARN"]} if secret else {}
    elements = {"arn": answered["ARN"]}
    if "DeletionDate" in answered:
        elements |= {"name": answered["Name"], "deletionDate": _date(answered["DeletionDate"])}
    return elements


def _member_case(service: str) -> str:
    return CURRENT.value.trail_member_case if service in _PASCAL_ON_THE_WIRE else "camel"


def _written(shape: Shape, value: Any, case: str) -> Any:
    """Returns members as CloudTrail writes them, without sensitive and binary ones. `value` has model names or wire names."""
    if shape.type_name == "structure" and isinstance(value, dict):
        wires = {member.serialization.get("name", n): n for n, member in shape.members.items()}
        named = {str(wires.get(n, n)): v for n, v in value.items() if v is not None}
        known = {n: v for n, v in named.items() if n in shape.members}
        kept = {n: v for n, v in known.items() if _may_log(n, shape.members[n])}
        return {_name(n, shape.members[n], case): _written(shape.members[n], v, case) for n, v in kept.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_written(shape.member, item, case) for item in value]
    return _date(value) if isinstance(value, datetime) else value


def _may_log(name: str, shape: Shape) -> bool:
    return name not in _NEVER and shape.type_name != "blob" and not shape.metadata.get("sensitive")


def _name(name: str, shape: Shape, case: str) -> str:
    if case == "pascal":
        return str(shape.serialization.get("name", name))
    return "arn" if name == "ARN" else name[0].lower() + name[1:]


def _date(when: datetime) -> str:
    """Returns a date in the format `May 3, 2018 5:51:02 PM`."""
    utc = when.astimezone(UTC)
    return f"{utc:%b} {utc.day}, {utc.year} {utc.hour % 12 or 12}:{utc:%M:%S %p}"


def _json(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
