"""Policy documents as tests compare them: AWS returns lists in any order, which differs from call to call."""

import json
from typing import Any


def in_order(value: Any) -> Any:
    """Returns a document with every list in a fixed order, except for the list of statements."""
    if isinstance(value, dict):
        statements = value.get("Statement")
        ordered = {name: in_order(inner) for name, inner in value.items()}
        return ordered | ({"Statement": [in_order(one) for one in statements]} if isinstance(statements, list) else {})
    return sorted((in_order(item) for item in value), key=json.dumps) if isinstance(value, list) else value
