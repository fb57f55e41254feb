"""Event delivery: failed events become dead letters, and targets require permissions."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded, root_credentials, session, until
from tests.local_aws.gap_account import Account, allow, policy

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
    # A schedule sends its dead letters with its role, and a rule by the policy of the queue.
    sending = [allow("sqs:SendMessage")] if service == "scheduler.amazonaws.com" else []
    return account.role(allow("states:StartExecution", machine), *sending, service=service).arn


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


ELSEWHERE, THERE = "555566667777", "eu-west-1"


@dataclass(frozen=True)
class OtherBus:
    """A bus in another account and Region, with a queue of what it receives."""

    account: Account
    name: str

    @classmethod
    def create(cls, account: Account, *allowed: dict[str, Any]) -> "OtherBus":
        """Creates the bus with statements in its policy, whose resource is the bus."""
        bus = cls(account, account.unique("bus"))
        events, sqs = bus.client("events"), bus.client("sqs")
        events.create_event_bus(Name=bus.name)
        statements = [one | {"Effect": "Allow", "Action": "events:PutEvents", "Resource": bus.arn} for one in allowed]
        if statements:
            events.put_permission(EventBusName=bus.name, Policy=policy(*statements))
        sqs.create_queue(QueueName=bus.name)
        queue = f"arn:aws:sqs:{THERE}:{ELSEWHERE}:{bus.name}"
        delivery = {"Principal": {"Service": "events.amazonaws.com"}} | allow("sqs:SendMessage", queue)
        sqs.set_queue_attributes(QueueUrl=bus.url, Attributes={"Policy": policy(delivery)})
        events.put_rule(Name="all", EventBusName=bus.name, EventPattern='{"source": [{"prefix": ""}]}')
        events.put_targets(Rule="all", EventBusName=bus.name, Targets=[{"Id": "queue", "Arn": queue}])
        return bus

    def client(self, service: str) -> Any:
        elsewhere: Any = session(root_credentials(ELSEWHERE), THERE)
        return elsewhere.client(service, endpoint_url=self.account.local.url)

    @property
    def arn(self) -> str:
        return f"arn:aws:events:{THERE}:{ELSEWHERE}:event-bus/{self.name}"

    @property
    def url(self) -> str:
        return str(self.client("sqs").get_queue_url(QueueName=self.name)["QueueUrl"])

    def received(self) -> list[dict[str, Any]]:
        found = self.client("sqs").receive_message(QueueUrl=self.url).get("Messages", [])
        return [json.loads(message["Body"]) for message in found]


def forwarder(account: Account, *statements: dict[str, Any]) -> str:
    return account.role(*statements, service="events.amazonaws.com").arn


def test_a_bus_in_another_account_and_region_gets_the_event_of_its_origin(account: Account) -> None:
    role = forwarder(account, allow("events:PutEvents"))
    bus, dead_letters = OtherBus.create(account, {"Principal": {"AWS": role}}), Queue(account)

    publish(account, rule(account, bus.arn, dead_letters, role))

    [event] = until(bus.received, "an event")
    assert (event["detail"], event["account"], event["region"]) == ({"a": 1}, ACCOUNT, "us-east-1")
    assert dead_letters.messages() == []


@pytest.mark.parametrize("denied_by", ["policy of the role", "policy of the bus"])
def test_an_event_that_may_not_go_to_a_bus_elsewhere_becomes_a_dead_letter(account: Account, denied_by: str) -> None:
    role = forwarder(account, allow("events:PutRule" if denied_by == "policy of the role" else "events:*"))
    allowed = [{"Principal": {"AWS": role}}] if denied_by == "policy of the role" else []
    bus, dead_letters = OtherBus.create(account, *allowed), Queue(account)

    publish(account, rule(account, bus.arn, dead_letters, role))

    _, attributes = dead_letters.first()
    assert attributes["ERROR_CODE"] == "NO_PERMISSIONS"
    assert bus.received() == []


def test_an_event_for_a_missing_bus_elsewhere_becomes_a_dead_letter(account: Account) -> None:
    role, dead_letters = forwarder(account, allow("events:PutEvents")), Queue(account)
    gone = f"arn:aws:events:{THERE}:{ACCOUNT}:event-bus/gone"  # in this account, the policy of the role is enough

    publish(account, rule(account, gone, dead_letters, role))

    assert dead_letters.first()[1]["ERROR_CODE"] == "RESOURCE_NOT_FOUND"


@pytest.mark.parametrize("is_member", [True, False])
def test_the_organization_of_a_role_decides_about_a_bus_policy(account: Account, is_member: bool) -> None:
    role = forwarder(account, allow("events:PutEvents"))
    organizations = account.client("organizations")
    organization = organizations.describe_organization()["Organization"]["Id"] if is_member else "o-other00000"
    condition = {"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalOrgID": organization}}}
    bus, dead_letters = OtherBus.create(account, condition), Queue(account)

    publish(account, rule(account, bus.arn, dead_letters, role))

    if is_member:
        assert [event["detail"] for event in until(bus.received, "an event")] == [{"a": 1}]
    else:
        assert dead_letters.first()[1]["ERROR_CODE"] == "NO_PERMISSIONS"


def test_an_account_belongs_to_the_organization_that_created_it(account: Account) -> None:
    organizations = account.client("organizations")
    organization = organizations.describe_organization()["Organization"]["Id"]
    created = organizations.create_account(Email="a@example.com", AccountName=account.unique("member"))
    member = created["CreateAccountStatus"]["AccountId"]
    bus = OtherBus.create(account, {"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalOrgID": organization}}})

    for sender, is_allowed in ((member, True), ("888899990000", False)):
        events: Any = session(root_credentials(sender), THERE)
        client = events.client("events", endpoint_url=account.local.url)
        if is_allowed:
            assert client.put_events(Entries=[EVENT | {"EventBusName": bus.arn}])["FailedEntryCount"] == 0
        else:
            with pytest.raises(ClientError, match="AccessDenied"):
                client.put_events(Entries=[EVENT | {"EventBusName": bus.arn}])
    assert [event["account"] for event in until(bus.received, "an event")] == [member]
