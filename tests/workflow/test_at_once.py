"""Many requests at once on one key are all onboarded, with one key and without a storm of calls on the table."""

import json
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.sampling import WHOLE
from tests.workflow.conftest import deployed
from tests.workflow.onboarding import Onboarding

NUMBER = 100 if WHOLE else 12
# A new account: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
CONCURRENT_FUNCTIONS = 10
# Writes of CreateKey and AttachPolicies for each request: for each lease a take in vain, a ticket, a take, and two releases.
# How often a waiting request polls depends on the time, which tests/unit/test_leases.py controls.
MOST_WRITES = 12


@pytest.mark.timeout(900)
def test_requests_at_once_on_one_key_are_all_onboarded_in_a_new_account(report_sample: Callable[[str], None]) -> None:
    with deployed(concurrency=CONCURRENT_FUNCTIONS) as account:
        onboarding = Onboarding(account.aws, account.outcomes)
        details = [onboarding.detail(f"channel-{number}", key={"alias": "alias/latchkey/at-once"}) for number in range(NUMBER)]
        began = time.monotonic()

        for detail in details:
            onboarding.put(detail)
        events = [onboarding.outcomes.wait_for(detail["requestId"], 600) for detail in details]

        wall, calls = time.monotonic() - began, Counter[str]()
        for call in onboarding.aws.control("GET", "calls"):
            function = next((name for name in ("CreateKey", "AttachPolicies") if name in call["principal"]), "")
            calls[f"{function} {call['operation']}".strip()] += call["count"]
    functions = ("CreateKey", "AttachPolicies")
    writes = sum(calls[f"{function} {operation}"] for function in functions for operation in ("PutItem", "DeleteItem"))
    print(json.dumps({"requests": NUMBER, "wall": round(wall, 1), "calls": calls}))
    assert {event["detail-type"] for event in events} == {"Access Onboarded"}
    assert len({event["detail"]["resources"]["keyArn"] for event in events}) == 1
    assert calls["CreateKey CreateKey"] == 1
    assert calls["AttachPolicies PutKeyPolicy"] == 0
    assert writes < NUMBER * MOST_WRITES
    report_sample(f"{NUMBER} of 100 requests at once")
