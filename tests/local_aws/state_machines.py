"""State machines on an embedded AWS: their definition, their role and the end of their executions."""

import json
from typing import Any

from local_aws.tools.embedded_aws import until
from tests.local_aws.gap_account import Account, allow


def start(account: Account, definition: dict[str, Any], event: Any, *allowed: dict[str, Any], **members: Any) -> str:
    """Starts the state machine with a role with the statements `allowed`. Returns the ARN of the execution."""
    states = account.client("stepfunctions")
    role = account.role(*allowed or (allow(["lambda:*", "states:*"]),), service="states.amazonaws.com").arn
    text = json.dumps({"QueryLanguage": "JSONata", **definition})
    arn = states.create_state_machine(name=account.unique("machine"), definition=text, roleArn=role)["stateMachineArn"]
    return str(states.start_execution(stateMachineArn=arn, input=json.dumps(event), **members)["executionArn"])


def outcome(account: Account, execution: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = account.client("stepfunctions").describe_execution(executionArn=execution)
        return found if found["status"] != "RUNNING" else None

    found = until(ended, "the end of the execution", 60)
    assert found is not None
    return found
