"""Event delivery: failed events become dead letters, and targets require permissions."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded, until
from tests.local_aws.gap_account import Account, allow

FAILING = "def lambda_handler(event, context):\n    raise ValueError('no')\n"
EVENT = {"Source": "latchkey.requests", "DetailType": "Onboarding Requested", "Detail": '{"a": 1}'}


@pytest.fixture
def account(local: Embedded) -> Account:
    return Account(local)


class Queue:
    """A queue that EventBridge can send messages to, unless `closed`."""

    def __init__(self, account: Account, closed: bool = False) -> None:
        name = account.unique("queue")
        self._sqs = account.client("sqs")
        self.arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"
        self._url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        if not closed:
            statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
            policy = {"Version": "2012-10-17", "Statement": [statement | {"Resource": self.arn}]}
            self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": json.dumps(policy)})

    def messages(self) -> list[dict[str, Any]]:
        found = self._sqs.receive_message(QueueUrl=self._url, MessageAttributeNames=["All"]).get("Messages", [])
        return list(found)

    def first(self) -> tuple[Any, dict[str, str]]:
        """Returns body and attributes of the first message that arrives."""
        message = until(self.messages, "a message")[0]
        attributes = message.get("MessageAttributes", {})
        return json.loads(message["Body"]), {name: value["StringValue"] for name, value in attributes.items()}


def rule(account: Account, target: str, dead_letters: Queue, role: str = "") -> str:
    """Creates a rule on a new event bus. Returns the name of the bus."""
    events, name = account.client("events"), account.unique("bus")
    events.create_event_bus(Name=name)
    events.put_rule(Name=name, EventBusName=name, EventPattern='{"source": ["latchkey.requests"]}')
    members = {"DeadLetterConfig": {"Arn": dead_letters.arn}, "RetryPolicy": {"MaximumRetryAttempts": 2}}
    as_role = {"RoleArn": role} if role else {}
    events.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "target", "Arn": target, **members, **as_role}])
    return name


def publish(account: Account, bus: str, **changes: str) -> None:
    account.client("events").put_events(Entries=[EVENT | {"EventBusName": bus} | changes])


@pytest.mark.parametrize(
    "target", ["lambda:us-east-1:{}:function:gone", "states:us-east-1:{}:stateMachine:gone", "sqs:us-east-1:{}:gone"]
)
def test_event_for_a_deleted_target_becomes_a_dead_letter(account: Account, target: str) -> None:
    arn, queue = f"arn:aws:{target.format(ACCOUNT)}", Queue(account)
    bus = rule(account, arn, queue)
    publish(account, bus)
    body, attributes = queue.first()
    assert (body["detail-type"], body["detail"]) == ("Onboarding Requested", {"a": 1})
    assert (attributes["TARGET_ARN"], attributes["ERROR_CODE"]) == (arn, "NO_RESOURCE")
    assert attributes["RULE_ARN"].endswith(f":rule/{bus}/{bus}")
    assert attributes["RETRY_ATTEMPTS"] == "2"


def state_machine(account: Account) -> str:
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    role = account.role(service="states.amazonaws.com").arn
    made = account.client("stepfunctions").create_state_machine(
        name=account.unique("machine"), definition=definition, roleArn=role
    )
    return str(made["stateMachineArn"])


def starter(account: Account, machine: str, service: str = "events.amazonaws.com") -> str:
    return account.role(allow("states:StartExecution", machine), allow("sqs:SendMessage"), service=service).arn


def test_input_that_a_state_machine_rejects_becomes_a_dead_letter(account: Account) -> None:
    queue, machine = Queue(account), state_machine(account)
    bus = rule(account, machine, queue, starter(account, machine))
    publish(account, bus, Detail=json.dumps({"a": "x" * 262_144}))
    assert queue.first()[1]["ERROR_CODE"] == "SDK_CLIENT_ERROR"


def test_rule_can_only_start_what_the_target_role_allows(account: Account) -> None:
    queue, machine, states = Queue(account), state_machine(account), account.client("stepfunctions")
    elsewhere = starter(account, f"{machine}-other")
    for role in ("", elsewhere, starter(account, machine, "scheduler.amazonaws.com")):
        publish(account, rule(account, machine, queue, role))
        assert states.list_executions(stateMachineArn=machine)["executions"] == []
    publish(account, rule(account, machine, queue, starter(account, machine)))
    assert len(states.list_executions(stateMachineArn=machine)["executions"]) == 1


def test_queue_only_receives_events_of_rules_that_its_policy_allows(account: Account) -> None:
    closed, dead_letters = Queue(account, closed=True), Queue(account)
    publish(account, rule(account, closed.arn, dead_letters))
    assert dead_letters.first()[1]["ERROR_CODE"] == "NO_PERMISSIONS"
    assert closed.messages() == []


def failing_function(account: Account, **members: Any) -> str:
    arn = account.function(FAILING, **members)
    permission = {"Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com"}
    account.client("lambda").add_permission(FunctionName=arn, StatementId="events", **permission)
    return arn


def test_event_of_a_failing_function_arrives_on_its_dead_letter_queue(account: Account) -> None:
    of_rule, of_function = Queue(account), Queue(account, closed=True)
    arn = failing_function(account, DeadLetterConfig={"TargetArn": of_function.arn})
    publish(account, rule(account, arn, of_rule))
    body, attributes = of_function.first()
    assert body["detail"] == {"a": 1}
    assert (attributes["ErrorCode"], attributes["ErrorMessage"]) == ("200", "no")
    assert of_rule.messages() == []


def test_throttled_event_waits_until_the_function_can_run(account: Account) -> None:
    dead_letters = Queue(account, closed=True)
    arn = failing_function(account, DeadLetterConfig={"TargetArn": dead_letters.arn})
    functions = account.client("lambda")
    functions.put_function_concurrency(FunctionName=arn, ReservedConcurrentExecutions=0)
    publish(account, rule(account, arn, Queue(account)))

    def throttles() -> float:
        found = account.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName="Throttles",
            Dimensions=[{"Name": "FunctionName", "Value": arn.rpartition(":")[2]}],
            StartTime=datetime.now(UTC) - timedelta(hours=1),
            EndTime=datetime.now(UTC) + timedelta(hours=1),
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        return float(sum(point["Sum"] for point in found))

    until(lambda: throttles() > 3, "more throttles than Lambda has attempts")
    assert dead_letters.messages() == []
    functions.delete_function_concurrency(FunctionName=arn)
    assert dead_letters.first()[0]["detail"] == {"a": 1}


def test_on_failure_destination_receives_an_invocation_record(account: Account) -> None:
    destination = Queue(account, closed=True)
    arn = failing_function(account)
    account.client("lambda").put_function_event_invoke_config(
        FunctionName=arn,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": destination.arn}},
    )
    publish(account, rule(account, arn, Queue(account)))
    body, _ = destination.first()
    assert body["requestPayload"]["detail"] == {"a": 1}
    assert body["responsePayload"]["errorType"] == "ValueError"
