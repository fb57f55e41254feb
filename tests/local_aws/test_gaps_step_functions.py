"""Step Functions: error names, timeouts, quotas, idempotent StartExecution, and state machine roles."""

import io
import json
import zipfile
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded, until
from tests.local_aws.gap_account import Account, allow, error_code
from tests.local_aws.state_machines import outcome, start

CODE = """
import os, time

class KeyNotUsable(Exception):
    pass

def lambda_handler(event, context):
    if event.get("exit"):
        os._exit(3)
    time.sleep(event.get("sleep", 0))
    if event.get("fail"):
        raise KeyNotUsable("not usable\\nError: really")
    return {"size": "x" * event.get("size", 0), "process": os.getpid()}
"""


@pytest.fixture
def account(local: Embedded) -> Account:
    return Account(local)


@pytest.fixture
def function(account: Account) -> str:
    """The ARN of a function that fails, sleeps or exits as its event requests."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", CODE)
    made = account.client("lambda").create_function(
        FunctionName=account.unique("function"),
        Runtime="python3.13",
        Handler="app.lambda_handler",
        Role=account.role().arn,
        Code={"ZipFile": packed.getvalue()},
        Timeout=1,
    )
    return str(made["FunctionArn"])


def task(function: str, **members: Any) -> dict[str, Any]:
    arguments = {"FunctionName": function, "Payload": "{% $states.input %}"}
    state = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": arguments}
    end = {} if "Next" in members else {"End": True}
    return {"StartAt": "Do", "States": {"Do": state | members | end}}


def test_error_name_is_the_class_of_the_exception(account: Account, function: str) -> None:
    ended = outcome(account, start(account, task(function), {"fail": True}))
    assert (ended["status"], ended["error"]) == ("FAILED", "KeyNotUsable")
    cause = json.loads(ended["cause"])
    assert (cause["errorType"], cause["errorMessage"]) == ("KeyNotUsable", "not usable\nError: really")
    assert cause["stackTrace"]
    assert cause["requestId"]


def test_exception_does_not_end_the_execution_environment(account: Account, function: str) -> None:
    def invoke(**event: Any) -> Any:
        answer = account.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
        return json.load(answer["Payload"])

    before = invoke()["process"]
    assert invoke(fail=True)["errorType"] == "KeyNotUsable"
    assert invoke()["process"] == before


def test_retry_and_catch_match_the_class_name(account: Account, function: str) -> None:
    retry = {"ErrorEquals": ["KeyNotUsable"], "IntervalSeconds": 1, "MaxAttempts": 1, "BackoffRate": 1}
    catch = {"ErrorEquals": ["KeyNotUsable"], "Next": "Caught", "Output": "{% $states.errorOutput.Error %}"}
    definition = task(function, Retry=[retry], Catch=[catch])
    definition["States"]["Caught"] = {"Type": "Succeed"}
    execution = start(account, definition, {"fail": True})
    assert outcome(account, execution)["output"] == '"KeyNotUsable"'
    events = account.client("stepfunctions").get_execution_history(executionArn=execution)["events"]
    assert [event["type"] for event in events].count("TaskFailed") == 2


@pytest.mark.parametrize(("event", "attempts"), [({"fail": True}, 1), ({"exit": 1}, 2)], ids=["by its name", "by States.ALL"])
def test_first_matching_retrier_applies(account: Account, function: str, event: dict[str, Any], attempts: int) -> None:
    permanent = {"ErrorEquals": ["KeyNotUsable"], "MaxAttempts": 0}
    others = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1, "BackoffRate": 1}
    execution = start(account, task(function, Retry=[permanent, others]), event)
    assert outcome(account, execution)["status"] == "FAILED"
    events = account.client("stepfunctions").get_execution_history(executionArn=execution)["events"]
    assert [event["type"] for event in events].count("TaskFailed") == attempts


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"sleep": 5}, "Sandbox.Timedout"),
        ({"exit": 1}, "Runtime.ExitError"),
        ({"size": 300_000}, "States.DataLimitExceeded"),
    ],
)
def test_timeout_crash_and_large_output_have_their_error_names(
    account: Account, function: str, event: dict[str, Any], error: str
) -> None:
    assert outcome(account, start(account, task(function), event))["error"] == error


def test_state_machine_timeout_ends_an_execution(account: Account) -> None:
    queue, bus_rule = account.unique("queue"), account.unique("rule")
    sqs, events = account.client("sqs"), account.client("events")
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}"
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:*", "Resource": arn}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Statement": [statement]})})
    events.put_rule(Name=bus_rule, EventPattern='{"source": ["aws.states"], "detail": {"status": ["TIMED_OUT"]}}')
    events.put_targets(Rule=bus_rule, Targets=[{"Id": "queue", "Arn": arn}])
    wait = {
        "StartAt": "Wait",
        "States": {"Wait": {"Type": "Wait", "Seconds": 3, "Next": "Fail"}, "Fail": {"Type": "Fail"}},
    }
    execution = start(account, wait | {"TimeoutSeconds": 1}, {})
    assert outcome(account, execution)["status"] == "TIMED_OUT"
    messages = until(lambda: sqs.receive_message(QueueUrl=url).get("Messages"), "the event")
    assert json.loads(messages[0]["Body"])["detail"]["executionArn"] == execution
    events.remove_targets(Rule=bus_rule, Ids=["queue"])
    history = account.client("stepfunctions").get_execution_history(executionArn=execution)["events"]
    assert history[-1]["type"] == "ExecutionTimedOut"


def test_input_over_256_kilobytes_is_rejected(account: Account) -> None:
    machine = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
    states = account.client("stepfunctions")
    execution = start(account, machine, {})
    arn = states.describe_execution(executionArn=execution)["stateMachineArn"]
    size = 262_144 - 2
    states.start_execution(stateMachineArn=arn, input=json.dumps("x" * size))
    code = error_code(states.start_execution, stateMachineArn=arn, input=json.dumps("x" * (size + 1)))
    assert code == "ValidationException"


def test_start_execution_is_idempotent_while_it_runs(account: Account) -> None:
    wait = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}}
    states = account.client("stepfunctions")
    first = start(account, wait, {"a": 1}, name="once")
    arn = states.describe_execution(executionArn=first)["stateMachineArn"]
    request = {"stateMachineArn": arn, "name": "once", "input": '{"a": 1}'}
    assert states.start_execution(**request)["executionArn"] == first
    assert error_code(states.start_execution, **request | {"input": "{}"}) == "ExecutionAlreadyExists"
    states.stop_execution(executionArn=first)
    assert error_code(states.start_execution, **request) == "ExecutionAlreadyExists"


def test_state_machine_can_only_call_what_its_role_allows(account: Account, function: str) -> None:
    other = allow("lambda:InvokeFunction", f"{function}-other")
    ended = outcome(account, start(account, task(function), {}, other))
    assert (ended["status"], ended["error"]) == ("FAILED", "Lambda.AWSLambdaException")
    direct = {"StartAt": "Do", "States": {"Do": {"Type": "Task", "Resource": function, "End": True}}}
    assert outcome(account, start(account, direct, {}, other))["error"] == "Lambda.AWSLambdaException"
    own = allow("lambda:InvokeFunction", function)
    assert outcome(account, start(account, direct, {}, own))["status"] == "SUCCEEDED"
    assert outcome(account, start(account, task(function), {}, own))["status"] == "SUCCEEDED"


def test_role_that_does_not_trust_step_functions_fails_the_execution(account: Account) -> None:
    states, role = account.client("stepfunctions"), account.role(allow("*"), service="events.amazonaws.com").arn
    text = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    arn = states.create_state_machine(name=account.unique("machine"), definition=text, roleArn=role)["stateMachineArn"]
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    assert outcome(account, execution)["status"] == "FAILED"
