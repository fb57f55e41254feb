"""The EventBridge rules of the template, and whether an event matches the pattern of a rule."""

from typing import Any

from tests.contract.artifacts import FUNCTIONS, of_type

# The rules on the request bus. Each of them starts a function.
REQUEST_RULES = [
    event["Properties"]
    for function in FUNCTIONS.values()
    for event in function.get("Events", {}).values()
    if event["Type"] == "EventBridgeRule"
]
# The rules on the default bus, by logical id. Each of them sends CloudTrail events to a queue.
TRAIL_EVENT_RULES = {name: rule for name, rule in of_type("AWS::Events::Rule").items() if "EventBusName" not in rule}


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Whether an event matches an event pattern.

    Supports the four comparisons that the template uses: listed values, `prefix`, `anything-but` and `exists: false`.
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
    """
    for member, expected in pattern.items():
        if isinstance(expected, dict):
            if not matches(expected, event.get(member, {})):
                return False
        elif expected == [{"exists": False}]:
            if member in event:
                return False
        elif {"prefix"} in [set(one) for one in expected if isinstance(one, dict)]:
            prefixes = tuple(one["prefix"] for one in expected if isinstance(one, dict))
            if event.get(member) not in expected and not str(event.get(member)).startswith(prefixes):
                return False
        elif isinstance(expected[0], dict):
            [excluded] = [comparison["anything-but"] for comparison in expected]
            if event.get(member) in excluded:
                return False
        else:
            assert all(isinstance(value, str) for value in expected), f"this function does not support the filter {expected}"
            if event.get(member) not in expected:
                return False
    return True
