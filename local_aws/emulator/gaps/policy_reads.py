"""Reads of policy documents, which return lists in any order."""

import json
import re
from typing import Any
from urllib.parse import quote, unquote

from ministack.services import iam, kms, secretsmanager

from local_aws.emulator.gaps.patching import Around, wrap, wrap_item
from local_aws.emulator.policy_order import returned

_DOCUMENTS = re.compile(rb"(?<=PolicyDocument>)[^<]+(?=</)")


def apply() -> None:
    for operation in ("GetRole", "GetRolePolicy"):
        wrap_item(iam._IAM_HANDLERS, operation, _xml)
    wrap(kms, "_get_key_policy", _json)
    wrap(secretsmanager, "_get_resource_policy", _json)


def _xml(original: Around, params: Any) -> Any:
    """Gap: IAM returns documents as they were written."""
    status, headers, body = original(params)
    ordered = _DOCUMENTS.sub(lambda found: quote(returned(unquote(found[0].decode())), safe="").encode(), body)
    return status, headers, ordered


def _json(original: Around, data: dict[str, Any]) -> Any:
    """Gap: KMS and Secrets Manager return documents as they were written."""
    status, headers, body = original(data)
    answer = json.loads(body)
    for member in {"Policy", "ResourcePolicy"} & answer.keys():
        answer[member] = returned(answer[member])
    return status, headers, json.dumps(answer, ensure_ascii=False).encode()
