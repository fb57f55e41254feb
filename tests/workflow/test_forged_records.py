"""A function that somebody took over writes a record of an access: the next request on the key checks it before it uses it.

Every request writes the statements of the other accesses on its key as well, from their recorded requests.
"""

import json

import pytest

from local_aws.tools.embedded_aws import until
from tests.workflow.consumer_resources import PARTNERS, adobe_detail, partner_statement
from tests.workflow.fault_injection import Detail, FaultInjection
from tests.workflow.onboarding import ORIGIN

UNLISTED = "210987654321"


def _forge(fault_injection: FaultInjection, access_id: str, key: Detail, key_arn: str, account: str) -> None:
    """Lets the record of an Adobe access say that it shares another key with an account."""
    item = fault_injection.item("access", access_id)
    wanted = json.loads(item["wanted"]["S"])
    wanted["key"] = key
    wanted["resource"]["partnerStatements"] = [partner_statement(account)]
    forged = item | {"wanted": {"S": json.dumps(wanted)}, "keyArn": {"S": key_arn}}
    fault_injection.dynamodb.put_item(TableName=fault_injection.table, Item=forged)
    fault_injection.dynamodb.update_item(
        TableName=fault_injection.table,
        Key={"kind": {"S": "resource"}, "id": {"S": key_arn}},
        UpdateExpression="ADD accesses :forged",
        ExpressionAttributeValues={":forged": {"SS": [access_id]}},
    )


@pytest.mark.parametrize(("account", "is_written"), [(PARTNERS[0], True), (UNLISTED, False)], ids=["listed", "not listed"])
def test_a_record_shares_a_key_only_with_partner_accounts_that_the_stack_lists(
    fault_injection: FaultInjection, account: str, is_written: bool
) -> None:
    first = fault_injection.detail(managementRoles=None)
    key_arn = fault_injection.onboard(first)["resources"]["keyArn"]
    adobe = fault_injection.send(adobe_detail())["detail"]
    second = fault_injection.detail(key=first["key"], managementRoles=[ORIGIN])
    hold = {"error": "hold", "caller": "/latchkey-AttachPoliciesFunction", "request": second["requestId"]}
    fault_injection.aws.control("POST", "faults", hold)

    fault_injection.put(second)
    until(lambda: fault_injection.aws.control("GET", "faults"), "the second request to attach policies")
    _forge(fault_injection, adobe["accessId"], first["key"], key_arn, account)
    fault_injection.aws.control("DELETE", "held")
    event = fault_injection.outcomes.wait_for(second["requestId"])

    assert event["detail-type"] == "Access Onboarded", event
    policy = json.dumps(fault_injection.key_policy(key_arn))
    assert ORIGIN in policy
    assert (account in policy) is is_written
