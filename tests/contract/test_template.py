"""The template agrees with the folders, and everything in it is described, logged, watched and protected."""

import re
from typing import Any

import pytest

from tests.contract.artefacts import (
    FOLDERS,
    FUNCTIONS,
    GLOBALS,
    MACHINE_TEXT,
    RESOURCES,
    ROOT,
    TEMPLATE,
    actions,
    listed,
    logical_id,
    of_type,
    statements,
)

[MACHINE] = of_type("AWS::Serverless::StateMachine").values()
QUEUES = of_type("AWS::SQS::Queue")
functions = pytest.mark.parametrize(("name", "function"), FUNCTIONS.items(), ids=FUNCTIONS)


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

    assert function["Description"].split()[0].lower() in {f"{verb}s", f"{verb}es"}
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
    [machine] = [to["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"] for to in MACHINE["Logging"]["Destinations"]]

    assert sorted([*used, machine.removesuffix(".Arn")]) == sorted(groups)
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


def test_the_machine_is_denied_tokens_too() -> None:
    assert {"Ref": "DenyReadingTokens"} in MACHINE["Policies"]


def test_only_create_secret_may_write_a_value() -> None:
    writing = {"secretsmanager:CreateSecret", "secretsmanager:PutSecretValue"}

    assert [name for name, function in FUNCTIONS.items() if actions(function) & writing] == ["CreateSecretFunction"]


def test_substitutions_are_the_placeholders_of_the_machine() -> None:
    placeholders = set(re.findall(r"\$\{(\w+)\}", MACHINE_TEXT))

    assert MACHINE["DefinitionSubstitutions"] == {
        placeholder: {"Fn::GetAtt": f"{placeholder.removesuffix('Arn')}.Arn"} for placeholder in placeholders
    }
    assert (ROOT / MACHINE["DefinitionUri"]).is_file()


def test_the_machine_may_invoke_what_it_names_and_nothing_else() -> None:
    [invoking] = [statement for statement in statements(MACHINE) if statement["Action"] == "lambda:InvokeFunction"]

    assert invoking["Resource"] == list(MACHINE["DefinitionSubstitutions"].values())


def test_the_machine_logs_what_happens_and_no_data() -> None:
    assert MACHINE["Logging"]["Level"] == "ALL"
    assert MACHINE["Logging"]["IncludeExecutionData"] is False
    assert MACHINE["Type"] == "STANDARD"
    assert MACHINE["Tracing"] == {"Enabled": True}


def test_every_event_that_cannot_be_delivered_is_kept() -> None:
    rules = {name: function["Events"] for name, function in FUNCTIONS.items() if "Events" in function}

    assert rules
    for name, events in rules.items():
        assert FUNCTIONS[name]["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]["Type"] == "SQS", name
        for event in events.values():
            queue, _, attribute = event["Properties"]["DeadLetterConfig"]["Arn"]["Fn::GetAtt"].partition(".")
            assert (queue in QUEUES, attribute) == (True, "Arn")
            assert event["Properties"]["RetryPolicy"]["MaximumRetryAttempts"] > 0


def test_no_function_is_started_by_anything_else() -> None:
    kinds = {event["Type"] for function in FUNCTIONS.values() for event in function.get("Events", {}).values()}

    assert kinds == {"EventBridgeRule"}


def test_every_queue_is_encrypted_and_watched() -> None:
    alarms = of_type("AWS::CloudWatch::Alarm").values()
    watched = {dimension["Value"].get("Fn::GetAtt") for alarm in alarms for dimension in alarm["Dimensions"]}

    assert QUEUES
    for name, queue in QUEUES.items():
        assert f"{name}.QueueName" in watched
        assert queue["SqsManagedSseEnabled"] is True


def test_every_way_an_execution_can_go_wrong_is_watched() -> None:
    alarms = [alarm for alarm in of_type("AWS::CloudWatch::Alarm").values() if alarm["Namespace"] == "AWS/States"]
    machine = [{"Name": "StateMachineArn", "Value": {"Ref": "OnboardStateMachine"}}]

    assert {alarm["MetricName"] for alarm in alarms} == {"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"}
    assert all(alarm["Dimensions"] == machine for alarm in alarms)


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


def test_the_layer_is_what_the_functions_import() -> None:
    [layer] = of_type("AWS::Serverless::LayerVersion")

    assert GLOBALS["Layers"] == [{"Ref": layer}]
    assert listed(of_type("AWS::Serverless::LayerVersion")[layer]["CompatibleRuntimes"]) == [GLOBALS["Runtime"]]
