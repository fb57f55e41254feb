"""The form in which services return policy documents: not the one in which they were written.

IAM and KMS return principals and other lists in any order, which can differ between two calls.
https://github.com/hashicorp/terraform-provider-aws/pull/25967
"""

import itertools
import json
import random
import re
from typing import Any

from local_aws.emulator.assumptions import CURRENT

_ACCOUNT = re.compile(r"\d{12}")
_calls = itertools.count(1)


def returned(policy: str) -> str:
    """Returns a policy as a read returns it. With `policyOrder` `shuffled`, each call has another order, from a fixed seed."""
    if CURRENT.value.policy_order == "kept":
        return policy
    try:
        document = json.loads(policy)
    except ValueError:
        return policy
    order = random.Random(next(_calls))
    statements = document.get("Statement")
    shuffled = [_statement(one, order) for one in statements] if isinstance(statements, list) else _statement(statements, order)
    return json.dumps(document | {"Statement": shuffled})


def _statement(statement: dict[str, Any], order: random.Random) -> dict[str, Any]:
    form = {name: _in_any_order(value, order) for name, value in statement.items()}
    for member in {"Principal", "NotPrincipal"} & form.keys():
        if isinstance(form[member], dict):
            form[member] = {kind: _principals(names) for kind, names in form[member].items()}
    return form


def _in_any_order(value: Any, order: random.Random) -> Any:
    if isinstance(value, dict):
        return {name: _in_any_order(inner, order) for name, inner in value.items()}
    return order.sample(value, len(value)) if isinstance(value, list) else value


def _principals(names: Any) -> Any:
    """The principals with the ARN of its root for an account, and a text for a list of one."""
    listed = [names] if isinstance(names, str) else names
    known = [f"arn:aws:iam::{name}:root" if _ACCOUNT.fullmatch(name) else name for name in listed]
    return known[0] if len(known) == 1 else known
