"""State machines and their executions."""

import json
from typing import Any

from tests.functions.account import ACCOUNT, client


class StateMachine:
    """A state machine. moto does not run its executions."""

    def __init__(self, name: str) -> None:
        self._name, self._stepfunctions = name, client("stepfunctions")
        self.create()

    def create(self) -> None:
        role = f"arn:aws:iam::{ACCOUNT}:role/latchkey-{self._name}"
        definition = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})
        made = self._stepfunctions.create_state_machine(name=self._name, definition=definition, roleArn=role)
        self._arn = made["stateMachineArn"]

    def forget(self) -> None:
        """Step Functions keeps the names of executions for 90 days."""
        self._stepfunctions.delete_state_machine(stateMachineArn=self._arn)
        self.create()

    def start(self, content: dict[str, Any]) -> str:
        """Starts an execution, which runs until `end`, and returns its ARN."""
        arn: str = self._stepfunctions.start_execution(stateMachineArn=self._arn, input=json.dumps(content))["executionArn"]
        return arn

    def end(self) -> None:
        """Ends every execution."""
        for execution in self._stepfunctions.list_executions(stateMachineArn=self._arn)["executions"]:
            self._stepfunctions.stop_execution(executionArn=execution["executionArn"])

    def __call__(self) -> dict[str, Any]:
        """The inputs of its executions by name."""
        listed = self._stepfunctions.list_executions(stateMachineArn=self._arn)["executions"]
        described = {e["name"]: self._stepfunctions.describe_execution(executionArn=e["executionArn"]) for e in listed}
        return {name: json.loads(execution["input"]) for name, execution in described.items()}
