"""What a request of an AWS API accepts of a response."""

from __future__ import annotations

from typing import Any


def accepted(shape: Any, value: Any) -> Any:
    """The part of a response that an input shape of botocore accepts. A response also contains read-only members."""
    if shape.type_name == "structure":
        return {name: accepted(shape.members[name], member) for name, member in value.items() if name in shape.members}
    return [accepted(shape.member, item) for item in value] if shape.type_name == "list" else value
