"""Step Functions: items, children, thresholds, results and permissions of distributed Map states in JSONata."""

import json
from typing import Any

import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded, until
from tests.local_aws.gap_account import Account, allow, deny, policy
from tests.local_aws.state_machines import outcome, start

STATES = allow("states:*")
PASS = {"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": True}}}
# Fails for the items that are marked.
CHOOSE = {
    "StartAt": "Choose",
    "States": {
        "Choose": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $states.input.bad = true %}", "Next": "No"}],
            "Default": "Yes",
        },
        "No": {"Type": "Fail", "Error": "Bad", "Cause": "this item"},
        "Yes": {"Type": "Succeed"},
    },
}


@pytest.fixture
def account(local: Embedded) -> Account:
    return Account(local)


@pytest.fixture
def bucket(account: Account) -> str:
    name = account.unique("data")
    account.client("s3").create_bucket(Bucket=name)
    return name


def distributed(each: dict[str, Any] = PASS, **fields: Any) -> dict[str, Any]:
    """A machine whose only state is a distributed Map."""
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, **each}
    end = {} if "Next" in fields else {"End": True}
    return {"StartAt": "Map", "States": {"Map": {"Type": "Map", "Label": "Each", "ItemProcessor": processor, **fields, **end}}}


def run(account: Account, definition: dict[str, Any], event: Any, *allowed: dict[str, Any]) -> dict[str, Any]:
    return outcome(account, start(account, definition, event, *allowed or (STATES,)))


def output(ended: dict[str, Any]) -> Any:
    assert ended["status"] == "SUCCEEDED", ended
    return json.loads(ended["output"])


def map_run(account: Account, execution: str) -> dict[str, Any]:
    states = account.client("stepfunctions")
    [found] = states.list_map_runs(executionArn=execution)["mapRuns"]
    described: dict[str, Any] = states.describe_map_run(mapRunArn=found["mapRunArn"])
    return described


def put(account: Account, bucket: str, key: str, text: str) -> None:
    account.client("s3").put_object(Bucket=bucket, Key=key, Body=text.encode())


def reader(bucket: str, key: str, **config: Any) -> dict[str, Any]:
    chosen = {"ReaderConfig": config} if config else {}
    return {"Resource": "arn:aws:states:::s3:getObject", "Arguments": {"Bucket": bucket, "Key": key}, **chosen}


def reads(bucket: str) -> dict[str, Any]:
    return allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*")


def test_fields_are_evaluated(account: Account) -> None:
    machine = distributed(
        Items="{% $states.input.names %}",
        ItemSelector={"name": "{% $states.context.Map.Item.Value %}", "at": "{% $states.context.Map.Item.Index %}"},
        MaxConcurrency="{% $states.input.most %}",
        Assign={"count": "{% $count($states.result) %}"},
        Output="{% $states.result.(name & $string(at)) %}",
        Next="Done",
    )
    machine["States"]["Done"] = {"Type": "Succeed", "Output": {"count": "{% $count %}", "names": "{% $states.input %}"}}
    arn = start(account, machine, {"names": ["a", "b"], "most": 1}, STATES)
    assert output(outcome(account, arn)) == {"count": 2, "names": ["a0", "b1"]}
    assert map_run(account, arn)["maxConcurrency"] == 1


def test_items_must_be_an_array(account: Account) -> None:
    ended = run(account, distributed(Items="{% $states.input.name %}"), {"name": "a"})
    assert ended["error"] == "States.QueryEvaluationError"


def test_children_have_a_context_and_variables_of_their_own(account: Account) -> None:
    states = {
        "First": {"Type": "Pass", "Assign": {"outer": 1}, "Next": "Map"},
        **distributed(
            {
                "StartAt": "Look",
                "States": {
                    "Look": {
                        "Type": "Pass",
                        "End": True,
                        "Output": {
                            "id": "{% $states.context.Execution.Id %}",
                            "input": "{% $states.context.Execution.Input %}",
                            "variable": "{% $exists($outer) %}",
                            "map": "{% $exists($states.context.Map) %}",
                        },
                    }
                },
            },
            Items=[5],
        )["States"],
    }
    arn = start(account, {"StartAt": "First", "States": states}, {}, STATES)
    [child] = output(outcome(account, arn))
    [listed] = account.client("stepfunctions").list_executions(mapRunArn=map_run(account, arn)["mapRunArn"])["executions"]
    assert child == {"id": listed["executionArn"], "input": 5, "variable": False, "map": False}
    described = account.client("stepfunctions").describe_execution(executionArn=listed["executionArn"])
    assert (described["input"], json.loads(described["output"])) == ("5", child)
    machine = arn.split(":")[6]
    assert listed["executionArn"].startswith(f"arn:aws:states:us-east-1:{ACCOUNT}:execution:{machine}/Each:")


def test_batches_have_at_most_so_many_items_and_bytes(account: Account) -> None:
    batcher = {"MaxItemsPerBatch": "{% $states.input.most %}", "BatchInput": {"of": "{% $states.input.of %}"}}
    machine = distributed(Items="{% $states.input.items %}", ItemBatcher=batcher)
    arn = start(account, machine, {"items": [1, 2, 3], "most": 2, "of": "x"}, STATES)
    assert output(outcome(account, arn)) == [
        {"BatchInput": {"of": "x"}, "Items": [1, 2]},
        {"BatchInput": {"of": "x"}, "Items": [3]},
    ]
    described = map_run(account, arn)
    assert (described["itemCounts"]["succeeded"], described["executionCounts"]["succeeded"]) == (3, 2)

    small = distributed(Items=["a" * 20] * 3, ItemBatcher={"MaxItemsPerBatch": 10, "MaxInputBytesPerBatch": 60})
    assert [len(batch["Items"]) for batch in output(run(account, small, {}))] == [2, 1]


def test_input_of_a_child_has_at_most_256_kib(account: Account, bucket: str) -> None:
    put(account, bucket, "items.json", json.dumps(["x" * 262_145]))
    ended = run(account, distributed(ItemReader=reader(bucket, "items.json")), {}, STATES, reads(bucket))
    assert ended["error"] == "States.DataLimitExceeded"


@pytest.mark.parametrize(
    ("text", "config", "items"),
    [
        ('[{"a": 1}, {"a": 2}]', {}, [{"a": 1}, {"a": 2}]),
        ('{"a": "one\u2028line"}\n{"a": 2}\r\n', {"InputType": "JSONL"}, [{"a": "one\u2028line"}, {"a": 2}]),
        ("a,b\n1,2\n3\n", {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}, [{"a": "1", "b": "2"}, {"a": "3", "b": ""}]),
        ("[1, 2, 3]", {"MaxItems": "{% 1 + 1 %}"}, [1, 2]),
        ("[]", {}, []),
    ],
)
def test_items_are_read_from_an_object(account: Account, bucket: str, text: str, config: dict[str, Any], items: Any) -> None:
    put(account, bucket, "in/items", text)
    machine = distributed(ItemReader=reader("{% $states.input.bucket %}", "{% $states.input.key %}", **config))
    assert output(run(account, machine, {"bucket": bucket, "key": "in/items"}, STATES, reads(bucket))) == items


def test_objects_of_a_prefix_are_items(account: Account, bucket: str) -> None:
    for key in ("in/1", "in/2", "out/3"):
        put(account, bucket, key, "text")
    listing = {"Resource": "arn:aws:states:::s3:listObjectsV2", "Arguments": {"Bucket": bucket, "Prefix": "in/"}}
    machine = distributed(ItemReader=listing, Output="{% $states.result.Key %}")
    own = allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", StringEquals={"s3:prefix": "in/"})
    assert output(run(account, machine, {}, STATES, own)) == ["in/1", "in/2"]
    assert run(account, machine, {}, STATES, reads(bucket))["error"] == "States.ItemReaderFailed"


@pytest.mark.parametrize("text", ["{", '{"a": 1}', '"text"'])
def test_object_that_is_no_array_fails_the_reader(account: Account, bucket: str, text: str) -> None:
    put(account, bucket, "items", text)
    ended = run(account, distributed(ItemReader=reader(bucket, "items")), {}, STATES, reads(bucket))
    assert ended["error"] == "States.ItemReaderFailed"


def test_reader_needs_an_object_and_permission_of_role_and_bucket(account: Account, bucket: str) -> None:
    put(account, bucket, "items", "[1]")
    machine = distributed(ItemReader=reader(bucket, "items"))
    assert output(run(account, machine, {}, STATES, reads(bucket))) == [1]
    assert run(account, machine, {}, STATES, reads("other"))["error"] == "States.ItemReaderFailed"
    missing = distributed(ItemReader=reader(bucket, "missing"))
    assert run(account, missing, {}, STATES, reads(bucket))["error"] == "States.ItemReaderFailed"
    closed = policy({"Principal": "*"} | deny("s3:GetObject", f"arn:aws:s3:::{bucket}/*"))
    account.client("s3").put_bucket_policy(Bucket=bucket, Policy=closed)
    assert run(account, machine, {}, STATES, reads(bucket))["error"] == "States.ItemReaderFailed"


@pytest.mark.parametrize("missing", ["states:StartExecution", "states:DescribeExecution"])
def test_role_must_allow_what_a_map_run_calls(account: Account, missing: str) -> None:
    ended = run(account, distributed(Items=[1]), {}, STATES, deny(missing))
    assert ended["error"] == "States.AccessDeniedException"


@pytest.mark.parametrize(
    ("tolerated", "status"),
    [
        ({}, "FAILED"),
        ({"ToleratedFailureCount": 1}, "FAILED"),
        ({"ToleratedFailureCount": 2}, "SUCCEEDED"),
        ({"ToleratedFailurePercentage": "{% 50 %}"}, "SUCCEEDED"),
        ({"ToleratedFailurePercentage": 49}, "FAILED"),
        ({"ToleratedFailurePercentage": 100, "ToleratedFailureCount": 1}, "FAILED"),
    ],
)
def test_more_failures_than_tolerated_fail_the_state(account: Account, tolerated: dict[str, Any], status: str) -> None:
    items = [{"bad": True}, {"bad": True}, {"bad": False}, {"bad": False}]
    arn = start(account, distributed(CHOOSE, Items=items, MaxConcurrency=1, **tolerated), {}, STATES)
    ended = outcome(account, arn)
    described = map_run(account, arn)
    assert (ended["status"], described["status"]) == (status, status)
    if status == "SUCCEEDED":
        assert output(ended) == [{"bad": False}] * 2
        assert (described["itemCounts"]["failed"], described["itemCounts"]["succeeded"]) == (2, 2)
    else:
        assert ended["error"] == "States.ExceedToleratedFailureThreshold"
        assert described["itemCounts"]["aborted"] >= 2, "no child starts after the end of the Map Run"


def writer(bucket: str, **config: Any) -> dict[str, Any]:
    chosen = {"WriterConfig": config} if config else {}
    return {"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": bucket, "Prefix": "out"}, **chosen}


def writes(bucket: str) -> dict[str, Any]:
    actions = ["s3:PutObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"]
    return allow(actions, f"arn:aws:s3:::{bucket}/out/*")


def content(account: Account, bucket: str, key: str) -> str:
    body: bytes = account.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return body.decode()


def test_results_are_exported(account: Account, bucket: str) -> None:
    items = [{"bad": True}, {"bad": False}]
    machine = distributed(CHOOSE, Items=items, ToleratedFailureCount=1, ResultWriter=writer(bucket))
    arn = start(account, machine, {}, STATES, writes(bucket))
    written = output(outcome(account, arn))
    run_arn = map_run(account, arn)["mapRunArn"]
    folder = f"out/{run_arn.rpartition(':')[2]}"
    details = {"Bucket": bucket, "Key": f"{folder}/manifest.json"}
    assert written == {"MapRunArn": run_arn, "ResultWriterDetails": details}

    manifest = json.loads(content(account, bucket, f"{folder}/manifest.json"))
    files = manifest["ResultFiles"]
    assert (manifest["DestinationBucket"], manifest["MapRunArn"], files["PENDING"]) == (bucket, run_arn, [])
    [succeeded], [failed] = files["SUCCEEDED"], files["FAILED"]
    assert (succeeded["Key"], failed["Key"]) == (f"{folder}/SUCCEEDED_0.json", f"{folder}/FAILED_0.json")
    assert succeeded["Size"] == len(content(account, bucket, succeeded["Key"]))
    [good], [bad] = (json.loads(content(account, bucket, each["Key"])) for each in (succeeded, failed))
    assert (good["Status"], json.loads(good["Input"]), json.loads(good["Output"])) == ("SUCCEEDED", items[1], items[1])
    assert (bad["Status"], bad["Error"], bad["Cause"]) == ("FAILED", "Bad", "this item")
    assert json.loads(bad["Input"]) == items[0]


def test_exported_results_can_be_lines_without_metadata(account: Account, bucket: str) -> None:
    config = {"Transformation": "FLATTEN", "OutputType": "JSONL"}
    machine = distributed(Items=[[1, 2], [3]], ResultWriter=writer(bucket, **config))
    written = output(run(account, machine, {}, STATES, writes(bucket)))
    folder = written["ResultWriterDetails"]["Key"].rpartition("/")[0]
    assert content(account, bucket, f"{folder}/SUCCEEDED_0.jsonl") == "1\n2\n3\n"


def test_export_needs_the_documented_permissions(account: Account, bucket: str) -> None:
    machine = distributed(Items=[1], ResultWriter=writer(bucket))
    only = allow("s3:PutObject", f"arn:aws:s3:::{bucket}/*")
    assert run(account, machine, {}, STATES, only)["error"] == "States.ResultWriterFailed"


def test_result_without_an_export_has_at_most_256_kib(account: Account) -> None:
    large = {"StartAt": "Large", "States": {"Large": {"Type": "Pass", "Output": "{% $pad('', 200000, 'x') %}", "End": True}}}
    ended = run(account, distributed(large, Items=[1, 2]), {})
    assert ended["error"] == "States.DataLimitExceeded"


def test_stopped_execution_aborts_its_children(account: Account) -> None:
    wait = {"Type": "Wait", "Seconds": 1, "Next": "Call"}
    call = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"FunctionName": "absent"}, "End": True}
    machine = distributed({"StartAt": "Wait", "States": {"Wait": wait, "Call": call}}, Items=[1, 2], MaxConcurrency=1)
    arn = start(account, machine, {}, STATES)
    states = account.client("stepfunctions")
    until(lambda: states.list_map_runs(executionArn=arn)["mapRuns"], "the Map Run")
    states.stop_execution(executionArn=arn)
    until(lambda: map_run(account, arn)["status"] == "ABORTED", "the end of the Map Run")
    counts = map_run(account, arn)["executionCounts"]
    assert (counts["aborted"], counts["failed"]) == (2, 0)
    assert outcome(account, arn)["status"] == "ABORTED"


def test_history_names_the_map_run(account: Account) -> None:
    arn = start(account, distributed(Items=[1]), {}, STATES)
    outcome(account, arn)
    events = account.client("stepfunctions").get_execution_history(executionArn=arn)["events"]
    [started] = [event for event in events if event["type"] == "MapRunStarted"]
    assert started["mapRunStartedEventDetails"]["mapRunArn"] == map_run(account, arn)["mapRunArn"]
    assert "MapRunSucceeded" in [event["type"] for event in events]


# ---------------------------------------------------------------- states that run another state machine


RULE = allow(
    ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
    f"arn:aws:events:us-east-1:{ACCOUNT}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule",
)


def inner(account: Account, definition: dict[str, Any]) -> str:
    """Creates a state machine whose role allows nothing. Returns its ARN."""
    role = account.role(service="states.amazonaws.com").arn
    text = json.dumps({"QueryLanguage": "JSONata", **definition})
    made = account.client("stepfunctions").create_state_machine(name=account.unique("inner"), definition=text, roleArn=role)
    return str(made["stateMachineArn"])


def nested(machine: str, **members: Any) -> dict[str, Any]:
    arguments = {"StateMachineArn": machine, "Input": "{% $states.input %}", **members}
    task = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Arguments": arguments, "End": True}
    return {"StartAt": "Run", "States": {"Run": task}}


def test_nested_execution_returns_its_output(account: Account) -> None:
    machine = inner(
        account, {"StartAt": "Done", "States": {"Done": {"Type": "Succeed", "Output": {"of": "{% $states.input %}"}}}}
    )
    found = output(run(account, nested(machine), {"a": 1}, STATES, RULE))
    assert (found["Output"], found["Input"], found["Status"]) == ({"of": {"a": 1}}, {"a": 1}, "SUCCEEDED")


def test_failure_of_a_nested_execution_is_a_failed_task(account: Account) -> None:
    machine = inner(account, {"StartAt": "No", "States": {"No": {"Type": "Fail", "Error": "Own", "Cause": "reason"}}})
    ended = run(account, nested(machine), {}, STATES, RULE)
    assert ended["error"] == "States.TaskFailed"
    assert (json.loads(ended["cause"])["Error"], json.loads(ended["cause"])["Status"]) == ("Own", "FAILED")


def test_name_of_a_nested_execution_is_used_once(account: Account) -> None:
    machine = inner(account, {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    account.client("stepfunctions").start_execution(stateMachineArn=machine, name="once", input="{}")
    ended = run(account, nested(machine, Name="once"), {"a": 1}, STATES, RULE)
    assert ended["error"] == "StepFunctions.ExecutionAlreadyExistsException"


@pytest.mark.parametrize(
    "missing", ["states:StartExecution", "states:DescribeExecution", "states:StopExecution", "events:PutRule"]
)
def test_role_must_allow_to_follow_a_nested_execution(account: Account, missing: str) -> None:
    machine = inner(account, {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    ended = run(account, nested(machine), {}, STATES, RULE, deny(missing))
    assert ended["error"].endswith(".AccessDeniedException")


def test_calls_after_a_nested_execution_have_the_role_of_the_outer_one(account: Account) -> None:
    machine = inner(account, {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    definition = nested(machine)
    del definition["States"]["Run"]["End"]
    definition["States"]["Run"]["Next"] = "Map"
    definition["States"] |= distributed(Items=[1])["States"]
    assert output(run(account, definition, {}, STATES, RULE)) == [1]


def test_stopped_execution_stops_the_nested_one(account: Account) -> None:
    machine = inner(account, {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}})
    arn = start(account, nested(machine, Name="nested"), {}, STATES, RULE)
    states = account.client("stepfunctions")
    until(lambda: states.list_executions(stateMachineArn=machine)["executions"], "the nested execution")
    states.stop_execution(executionArn=arn)
    until(lambda: states.list_executions(stateMachineArn=machine)["executions"][0]["status"] == "ABORTED", "its end")
