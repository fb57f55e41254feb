"""The template agrees with the folders, and everything in it is described, logged, watched and protected."""

import json
import re
from typing import Any

import pytest
from botocore.session import Session

from tests.contract.artefacts import (
    FOLDERS,
    FUNCTIONS,
    GLOBALS,
    MACHINE_TEXTS,
    RESOURCES,
    ROOT,
    STATE_MACHINES,
    TEMPLATE,
    actions,
    listed,
    logical_id,
    of_type,
    statements,
)

QUEUES = of_type("AWS::SQS::Queue")
functions = pytest.mark.parametrize(("name", "function"), FUNCTIONS.items(), ids=FUNCTIONS)
machines = pytest.mark.parametrize("machine", STATE_MACHINES.values(), ids=STATE_MACHINES)


def test_every_folder_is_a_function_and_every_function_a_folder() -> None:
    assert {logical_id(folder): f"functions/{folder}" for folder in FOLDERS} == {
        name: function["CodeUri"] for name, function in FUNCTIONS.items()
    }


@functions
def test_every_functions_handler_exists(name: str, function: dict[str, Any]) -> None:
    module, _, handler = function.get("Handler", GLOBALS["Handler"]).partition(".")

    assert f"def {handler}(" in (ROOT / function["CodeUri"] / f"{module}.py").read_text()


@functions
def test_every_function_says_what_it_does_and_names_itself_after_its_folder(name: str, function: dict[str, Any]) -> None:
    folder = function["CodeUri"].removeprefix("functions/")
    verb, *_ = folder.split("_")

    assert function["Description"].split()[0].lower() in {f"{verb}s", f"{verb}es", f"{verb[:-1]}ies"}
    assert function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == folder


@functions
def test_every_function_logs_to_its_own_group_as_json(name: str, function: dict[str, Any]) -> None:
    group = RESOURCES[function["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]

    assert group["LogGroupName"]["Fn::Sub"].endswith(function["CodeUri"].replace("functions/", "-"))
    assert GLOBALS["LoggingConfig"]["LogFormat"] == "JSON"
    assert GLOBALS["Tracing"] == "Active"


def test_every_log_group_ends_its_logs_and_serves_one_writer() -> None:
    groups = of_type("AWS::Logs::LogGroup")
    used = [function["LoggingConfig"]["LogGroup"]["Ref"] for function in FUNCTIONS.values()]
    for machine in STATE_MACHINES.values():
        [to] = machine["Logging"]["Destinations"]
        used.append(to["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"].removesuffix(".Arn"))

    assert sorted(used) == sorted(groups)
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())


@functions
def test_every_role_but_that_of_create_secret_is_denied_tokens(name: str, function: dict[str, Any]) -> None:
    assert ({"Ref": "DenyReadingTokens"} in function["Policies"]) is (name != "CreateSecretFunction")


def test_what_is_denied_are_values_takeovers_and_other_identities() -> None:
    denials = RESOURCES["DenyReadingTokens"]["Properties"]["PolicyDocument"]["Statement"]
    denied = {denial["Sid"]: denial for denial in denials}
    reading, decrypting = denied["NoValueLeavesSecretsManager"], denied["NoValueIsDecrypted"]
    in_its_own_name = {"aws:ViaAWSService": "false"}

    assert {(denial["Effect"], denial["Resource"]) for denial in denials} == {("Deny", "*")}
    assert set(reading["Action"]) == {"secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue"}
    assert reading["Condition"] == {"BoolIfExists": in_its_own_name}
    assert set(decrypting["Action"]) == {"kms:Decrypt", "kms:ReEncrypt*"}
    assert decrypting["Condition"] == {
        "BoolIfExists": in_its_own_name,
        "Null": {"kms:EncryptionContext:SecretARN": "false"},
    }
    assert "kms:ReEncrypt*" in denied["NoKeyIsUsedDirectly"]["Action"]  # which the embedded AWS cannot show
    assert denied["NoKeyIsUsedDirectly"]["Condition"] == {"Null": {"kms:ViaService": "true"}}
    assert denied["NoOtherIdentity"]["Action"] == "sts:AssumeRole"
    assert {sid for sid, denial in denied.items() if "Condition" not in denial} == {
        "NothingIsTakenFromItsOwner",
        "NoOtherIdentity",
    }


@machines
def test_every_machine_is_denied_tokens_too(machine: dict[str, Any]) -> None:
    assert {"Ref": "DenyReadingTokens"} in machine["Policies"]


def test_only_create_secret_may_write_a_value() -> None:
    writing = {"secretsmanager:CreateSecret", "secretsmanager:PutSecretValue"}

    assert [name for name, function in FUNCTIONS.items() if actions(function) & writing] == ["CreateSecretFunction"]


@machines
def test_substitutions_are_the_placeholders_of_the_machine(machine: dict[str, Any]) -> None:
    assert (ROOT / machine["DefinitionUri"]).is_file()
    text = MACHINE_TEXTS[machine["DefinitionUri"].removeprefix("statemachine/").removesuffix(".asl.json")]

    assert machine["DefinitionSubstitutions"] == {
        placeholder: {"Fn::GetAtt": f"{placeholder.removesuffix('Arn')}.Arn"}
        for placeholder in set(re.findall(r"\$\{(\w+)\}", text))
    }


@machines
def test_a_machine_may_invoke_what_it_names_and_nothing_else(machine: dict[str, Any]) -> None:
    [invoking] = statements(machine)

    assert invoking["Action"] == "lambda:InvokeFunction"
    assert invoking["Resource"] == list(machine["DefinitionSubstitutions"].values())


@machines
def test_a_machine_logs_what_happens_and_no_data(machine: dict[str, Any]) -> None:
    assert {"Ref": "ReportExecutions"} in machine["Policies"]
    assert machine["Logging"]["Level"] == "ALL"
    assert machine["Logging"]["IncludeExecutionData"] is False
    assert machine["Type"] == "STANDARD"
    assert machine["Tracing"] == {"Enabled": True}


def test_every_event_that_cannot_be_delivered_is_kept() -> None:
    started = {name: started for name, started in (FUNCTIONS | STATE_MACHINES).items() if "Events" in started}

    assert started
    for name, target in started.items():
        if name in FUNCTIONS:
            assert target["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]["Type"] == "SQS", name
        for event in target["Events"].values():
            queue, _, attribute = event["Properties"]["DeadLetterConfig"]["Arn"]["Fn::GetAtt"].partition(".")
            assert (queue in QUEUES, attribute) == (True, "Arn")
            assert event["Properties"]["RetryPolicy"]["MaximumRetryAttempts"] > 0


def test_no_function_is_started_by_anything_else() -> None:
    events = [(name, event["Type"]) for name, function in FUNCTIONS.items() for event in function.get("Events", {}).values()]
    sources = [mapping["EventSourceArn"]["Fn::GetAtt"] for mapping in of_type("AWS::Lambda::EventSourceMapping").values()]

    assert sorted(events) == [
        ("ReceiveRequestFunction", "EventBridgeRule"),
        ("SweepGrantsFunction", "EventBridgeRule"),
        ("SweepGrantsFunction", "Schedule"),
    ]
    assert sources == ["HintQueue.Arn"]


def test_every_queue_is_encrypted_and_watched() -> None:
    alarms = of_type("AWS::CloudWatch::Alarm").values()
    dimensions = [dimension["Value"] for alarm in alarms for dimension in alarm["Dimensions"]]
    watched = {value.get("Fn::GetAtt") for value in dimensions if isinstance(value, dict)}

    assert QUEUES
    for name, queue in QUEUES.items():
        assert f"{name}.QueueName" in watched
        assert queue["SqsManagedSseEnabled"] is True


def test_every_way_an_execution_can_go_wrong_is_watched() -> None:
    alarms = [alarm for alarm in of_type("AWS::CloudWatch::Alarm").values() if alarm["Namespace"] == "AWS/States"]
    watched = {(dimension["Value"]["Ref"], alarm["MetricName"]) for alarm in alarms for dimension in alarm["Dimensions"]}

    assert watched == {
        (machine, metric)
        for machine in STATE_MACHINES
        for metric in ("ExecutionsAborted", "ExecutionsFailed", "ExecutionsTimedOut")
    }


def test_every_alarm_says_what_it_means_and_notifies() -> None:
    for name, alarm in of_type("AWS::CloudWatch::Alarm").items():
        assert alarm["AlarmDescription"].endswith("."), name
        assert alarm["AlarmActions"]["Fn::If"][:2] == ["AlarmsNotify", [{"Ref": "AlarmTopicArn"}]], name


@pytest.mark.parametrize(("name", "parameter"), TEMPLATE["Parameters"].items(), ids=TEMPLATE["Parameters"])
def test_every_parameter_is_described_bounded_and_fit_by_its_default(name: str, parameter: dict[str, Any]) -> None:
    assert parameter["Description"].endswith(".")
    if parameter["Type"] == "String":
        assert re.fullmatch(parameter["AllowedPattern"], str(parameter["Default"]))


def test_every_output_is_described() -> None:
    assert {"RequestBusName", "AccessTableName", "OnboardStateMachineArn"} <= set(TEMPLATE["Outputs"])
    assert all(output["Description"] for output in TEMPLATE["Outputs"].values())


def test_the_registry_survives() -> None:
    table = RESOURCES["AccessTable"]

    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["Properties"]["DeletionProtectionEnabled"]["Fn::If"] == ["DataIsProtected", True, False]
    assert TEMPLATE["Parameters"]["ProtectData"]["Default"] == "true"


def test_what_bounds_the_roles_on_air_survives_the_stack() -> None:
    """IAM deletes no policy that bounds a role, and the readers' roles are not of the stack."""
    boundary = RESOURCES["ReaderBoundary"]

    assert (boundary["DeletionPolicy"], boundary["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_the_layer_is_what_the_functions_import() -> None:
    [layer] = of_type("AWS::Serverless::LayerVersion")

    assert GLOBALS["Layers"] == [{"Ref": layer}]
    assert listed(of_type("AWS::Serverless::LayerVersion")[layer]["CompatibleRuntimes"]) == [GLOBALS["Runtime"]]


def test_the_grace_period_fits_into_the_clean_up() -> None:
    longest = TEMPLATE["Parameters"]["GraceSeconds"]["MaxValue"]

    assert 2 * longest <= json.loads(MACHINE_TEXTS["clean-up-grants"])["TimeoutSeconds"]


def test_logs_are_kept_for_as_long_as_cloudwatch_can() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""
    logs = Session().get_service_model("logs")
    [listed] = re.findall(r"Possible values are: ([0-9, and]+)\.", logs.shape_for("Days").documentation)

    assert TEMPLATE["Parameters"]["LogRetentionDays"]["AllowedValues"] == [int(days) for days in re.findall(r"\d+", listed)]
