"""CloudTrail: publishes write calls as `AWS API Call via CloudTrail` events on the default event bus.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html
"""

import asyncio
import json
import random
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import request_scope
from ministack.services import eventbridge, iam, kms, sts

from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.authorization import Caller, role_arn_of

Record = dict[str, Any]
_SHUFFLE_SECONDS = 0.5


class Trail:
    """Publishes records in order, unless the assumptions lose, duplicate, delay or shuffle them."""

    def __init__(self) -> None:
        self._publisher = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trail")

    def record(self, record: Record) -> None:
        """Schedules the event of a record. Call it on the event loop."""
        how = CURRENT.value.trail
        if random.random() < how.lose:
            return
        for _ in range(2 if random.random() < how.duplicate else 1):
            delay = how.delay_seconds
            if how.shuffle:
                delay = random.uniform(0, max(delay, _SHUFFLE_SECONDS))
            asyncio.get_running_loop().call_later(delay, self._publisher.submit, _publish, record)


TRAIL = Trail()


def _publish(record: Record) -> None:
    entry = {
        "Source": "aws." + record["eventSource"].partition(".")[0],
        "DetailType": "AWS API Call via CloudTrail",
        "Detail": json.dumps(record),
        "Resources": [],
    }
    # PutEvents rejects sources that start with aws. for callers other than AWS.
    with request_scope(record["recipientAccountId"], record["awsRegion"]):
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def base_record(service: str, operation: str, account: str, region: str) -> Record:
    """Returns the members that every record has. Records of IAM are in us-east-1.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
    """
    return {
        "eventVersion": "1.11",
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": f"{service}.amazonaws.com",
        "eventName": operation,
        "awsRegion": "us-east-1" if service == "iam" else region,
        "requestParameters": None,
        "responseElements": None,
        "requestID": str(uuid.uuid4()),
        "eventID": str(uuid.uuid4()),
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": account,
        "eventCategory": "Management",
    }


def service_call(
    service: str,
    operation: str,
    by: str,
    account: str,
    region: str,
    key_arn: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    response: Mapping[str, Any] | None = None,
    additional: Mapping[str, Any] | None = None,
    caller: Caller | None = None,
) -> Record:
    """Returns the record of a KMS call by the service `by`, as itself or, with `caller`, in a forward access session.

    https://docs.aws.amazon.com/kms/latest/developerguide/ct-retire-grant.html and ct-creategrant.html
    """
    identity = user_identity(caller) if caller else {"type": "AWSService"}
    record = base_record(service, operation, account, region) | {
        "userIdentity": identity | {"invokedBy": by},
        "sourceIPAddress": by,
        "userAgent": by,
        "requestParameters": parameters,
        "responseElements": response,
        "resources": [key_resource(key_arn)],
    }
    return record | ({"additionalEventData": additional} if additional else {})


def key_resource(key_arn: str) -> dict[str, str]:
    return {"accountId": key_arn.split(":")[4], "type": "AWS::KMS::Key", "ARN": key_arn}


def key_arn_of(key_id: str) -> str | None:
    key = kms._resolve_key(key_id)
    return key["Arn"] if key else None


def user_identity(caller: Caller) -> dict[str, Any]:
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html"""
    found = iam_evaluator.resolve_credential(caller.access_key, caller.account)
    principal_id = getattr(found, "principal_id", caller.account)
    common = {"principalId": principal_id, "arn": caller.arn, "accountId": caller.account}
    common["accessKeyId"] = caller.access_key
    if ":assumed-role/" in caller.arn:
        return {"type": "AssumedRole", **common, "sessionContext": _session_context(caller)}
    if ":user/" in caller.arn:
        return {"type": "IAMUser", **common, "userName": caller.arn.rpartition("/")[2]}
    return {"type": "Root", **common}


def _session_context(caller: Caller) -> dict[str, Any]:
    arn = role_arn_of(caller.arn)
    name = arn.rpartition("/")[2]
    role = iam._roles.get_scoped(caller.account, None, name) or {}
    issued = (sts._sessions.get(caller.access_key) or {}).get("IssuedAt", 0)
    created = datetime.fromtimestamp(issued, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    issuer = {"type": "Role", "principalId": role.get("RoleId", ""), "arn": arn, "accountId": caller.account}
    return {
        "sessionIssuer": issuer | {"userName": name},
        "attributes": {"creationDate": created, "mfaAuthenticated": "false"},
    }
