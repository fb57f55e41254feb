"""The rules of the template, and what EventBridge would do with an event at them."""

from typing import Any

from tests.contract.artefacts import FUNCTIONS, of_type

# On the request bus; each starts a function.
REQUEST_RULES = [
    event["Properties"]
    for function in FUNCTIONS.values()
    for event in function.get("Events", {}).values()
    if event["Type"] == "EventBridgeRule"
]
# On the default bus, by logical id; each fills a queue.
HINT_RULES = of_type("AWS::Events::Rule")


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """EventBridge's matching by listed values, by their exclusion and by absence, which is all the rules use.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
    """
    for member, wanted in pattern.items():
        if isinstance(wanted, dict):
            if not matches(wanted, event.get(member, {})):
                return False
        elif wanted == [{"exists": False}]:
            if member in event:
                return False
        elif isinstance(wanted[0], dict):
            [excluded] = [one["anything-but"] for one in wanted]
            if event.get(member) in excluded:
                return False
        else:
            assert all(isinstance(value, str) for value in wanted), "a content filter needs a matcher of its own"
            if event.get(member) not in wanted:
                return False
    return True
