"""Twenty requests at once on one key are all onboarded, with one key and without a storm of calls on the table."""

import json
import time

from tests.workflow.onboarding import Onboarding

# A hundred executions at once overload the embedded AWS on two cores.
NUMBER = 20
# Calls of the functions that wait for leases, for each request: a ticket, a take, and looks that become rarer further back.
MOST_LOOKS = 15


def test_twenty_requests_at_once_on_one_key_are_all_onboarded(onboarding: Onboarding) -> None:
    details = [onboarding.detail(f"channel-{number}", key={"alias": "alias/latchkey/at-once"}) for number in range(NUMBER)]
    onboarding.aws.control("DELETE", "calls")
    began = time.monotonic()

    for detail in details:
        onboarding.put(detail)
    events = [onboarding.outcomes.wait_for(detail["requestId"], 600) for detail in details]

    wall = time.monotonic() - began
    calls: dict[str, int] = {}
    for call in onboarding.aws.control("GET", "calls"):
        function = next((name for name in ("CreateKey", "AttachPolicies") if name in call["principal"]), "")
        action = f"{function} {call['operation']}"
        calls[action] = calls.get(action, 0) + call["count"]
    waiting = {action: count for action, count in calls.items() if action.split()[-1] in {"PutItem", "Query", "DeleteItem"}}
    print(json.dumps({"wall": round(wall, 1), "calls": calls}))
    assert {event["detail-type"] for event in events} == {"Access Onboarded"}
    assert len({event["detail"]["resources"]["keyArn"] for event in events}) == 1
    assert calls.get("CreateKey CreateKey") == 1
    assert calls.get("AttachPolicies PutKeyPolicy", 0) == 0
    assert sum(count for action, count in waiting.items() if not action.startswith(" ")) < NUMBER * MOST_LOOKS
