"""The templates agree with the folders, and everything in them is described, logged, watched, and protected."""

import json
import re
import shlex
from collections import Counter
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import Session

from latchkey.audit.facts import KINDS, Action
from tests.contract.artifacts import (
    ALARMS,
    FOLDERS,
    FUNCTIONS,
    GLOBALS,
    MACHINE_TEXTS,
    OBSERVABILITY,
    RESOURCES,
    ROOT,
    STATE_MACHINES,
    TEMPLATE,
    actions,
    listed,
    logical_id,
    of_type,
    own_statements,
    shared_policies,
    statements,
)

QUEUES = of_type("AWS::SQS::Queue")
POLICIES = of_type("AWS::IAM::ManagedPolicy")
ROLES = FUNCTIONS | STATE_MACHINES
[NESTED] = of_type("AWS::Serverless::Application").values()
functions = pytest.mark.parametrize(("name", "function"), FUNCTIONS.items(), ids=FUNCTIONS)
machines = pytest.mark.parametrize("machine", STATE_MACHINES.values(), ids=STATE_MACHINES)
alarms = pytest.mark.parametrize("alarm", ALARMS.values(), ids=ALARMS)


def test_every_folder_is_a_function_and_every_function_a_folder() -> None:
    assert {logical_id(folder): f"functions/{folder}" for folder in FOLDERS} == {
        name: function["CodeUri"] for name, function in FUNCTIONS.items()
    }


@functions
def test_the_handler_of_every_function_exists(name: str, function: dict[str, Any]) -> None:
    module, _, handler = function.get("Handler", GLOBALS["Handler"]).partition(".")

    assert f"def {handler}(" in (ROOT / function["CodeUri"] / f"{module}.py").read_text()


@functions
def test_every_function_is_described_and_has_the_service_name_of_its_folder(name: str, function: dict[str, Any]) -> None:
    folder = function["CodeUri"].removeprefix("functions/")
    verb, *_ = folder.split("_")

    assert function["Description"].split()[0].lower() in {f"{verb}s", f"{verb}es", f"{verb[:-1]}ies"}
    assert function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == folder


@functions
def test_every_function_logs_json_to_the_shared_group(name: str, function: dict[str, Any]) -> None:
    assert GLOBALS["LoggingConfig"] == {"LogFormat": "JSON", "LogGroup": {"Ref": "FunctionLogs"}}
    assert "LoggingConfig" not in function
    assert GLOBALS["Tracing"] == "Active"


@functions
def test_every_function_can_write_only_to_the_shared_log_group(name: str, function: dict[str, Any]) -> None:
    [denial] = POLICIES["DenyOtherLogGroups"]["PolicyDocument"]["Statement"]
    group = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${FunctionLogs}"

    assert "DenyOtherLogGroups" in shared_policies(function)
    assert denial["Effect"] == "Deny"
    assert denial["NotResource"] == [{"Fn::Sub": group}, {"Fn::Sub": f"{group}:*"}]


def test_every_log_group_has_a_retention_and_a_writer() -> None:
    groups = of_type("AWS::Logs::LogGroup")
    used = [GLOBALS["LoggingConfig"]["LogGroup"]["Ref"]]
    for machine in STATE_MACHINES.values():
        [to] = machine["Logging"]["Destinations"]
        used.append(to["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"].removesuffix(".Arn"))

    assert sorted(used) == sorted(groups)
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())


@functions
def test_every_role_but_that_of_create_secret_is_denied_secret_values(name: str, function: dict[str, Any]) -> None:
    assert ("DenyReadingTokens" in shared_policies(function)) is (name != "CreateSecretFunction")


def test_reading_values_takeovers_and_other_identities_are_denied() -> None:
    denials = POLICIES["DenyReadingTokens"]["PolicyDocument"]["Statement"]
    denied = {denial["Sid"]: denial for denial in denials}
    reading, decrypting = denied["DenyReadingSecretValues"], denied["DenyDecryptingSecretValues"]
    direct = {"aws:ViaAWSService": "false"}

    assert {denial["Effect"] for denial in denials} == {"Deny"}
    assert {sid for sid, denial in denied.items() if denial["Resource"] != "*"} == {
        "DenyWhatNoFunctionNeeds",
        "DenyDeletingAliasesOfUnmanagedKeys",
    }
    assert set(reading["Action"]) == {"secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue"}
    assert reading["Condition"] == {"BoolIfExists": direct}
    assert set(decrypting["Action"]) == {"kms:Decrypt", "kms:ReEncrypt*"}
    assert decrypting["Condition"] == {"BoolIfExists": direct, "Null": {"kms:EncryptionContext:SecretARN": "false"}}
    assert "kms:ReEncrypt*" in denied["DenyDirectKeyUse"]["Action"]  # MiniStack does not implement ReEncrypt
    assert denied["DenyDirectKeyUse"]["Condition"] == {"Null": {"kms:ViaService": "true"}}
    assert denied["DenyAssumingRoles"]["Action"] == "sts:AssumeRole"
    assert {sid for sid, denial in denied.items() if "Condition" not in denial} == {"DenyAssumingRoles"}


def test_actions_on_keys_and_secrets_that_no_function_needs_are_denied() -> None:
    [rest] = [s for s in POLICIES["DenyReadingTokens"]["PolicyDocument"]["Statement"] if "NotAction" in s]
    denied = [function for function in FUNCTIONS.values() if "DenyReadingTokens" in shared_policies(function)]
    needed = {action for function in denied for action in actions(function) if action.startswith(("kms:", "secretsmanager:"))}
    # These are authorized without a resource, so the statement does not apply to them.
    without_resource = {"kms:CreateKey", "kms:ListKeys", "secretsmanager:ListSecrets"}

    assert set(rest["NotAction"]) == needed - without_resource


def test_roles_that_write_policies_and_delete_nothing_are_denied_deletion() -> None:
    writing = {"kms:PutKeyPolicy", "secretsmanager:PutResourcePolicy"}
    deleting = set(POLICIES["DenyDeletion"]["PolicyDocument"]["Statement"][0]["Action"])
    writers = {name for name, function in FUNCTIONS.items() if actions(function) & writing}

    # A new key admits create_key in its policy.
    assert writers == {"AttachPoliciesFunction", "LeaveKeyFunction", "RemovePoliciesFunction", "UndoOnboardingFunction"}
    for name in (*writers, "CreateKeyFunction"):
        assert ("DenyDeletion" in shared_policies(FUNCTIONS[name])) != bool(actions(FUNCTIONS[name]) & deleting)


def test_roles_that_write_policies_are_denied_restoring_secrets() -> None:
    shared = POLICIES["DenyDeletion"]["PolicyDocument"]["Statement"]

    for name in ("AttachPoliciesFunction", "CreateKeyFunction", "RemovePoliciesFunction", "UndoOnboardingFunction"):
        denials = [*own_statements(FUNCTIONS[name]), *(shared if "DenyDeletion" in shared_policies(FUNCTIONS[name]) else ())]
        denied = {action for s in denials if s["Effect"] == "Deny" and "Condition" not in s for action in listed(s["Action"])}
        assert "secretsmanager:RestoreSecret" in denied


def test_every_role_is_denied_to_cancel_the_deletion_of_a_key() -> None:
    needed = [s["NotAction"] for s in POLICIES["DenyReadingTokens"]["PolicyDocument"]["Statement"] if "NotAction" in s]

    assert needed
    for actions_of_functions in needed:
        assert not {"kms:CancelKeyDeletion", "kms:EnableKey"} & {*actions_of_functions}


@machines
def test_every_state_machine_is_denied_secret_values_too(machine: dict[str, Any]) -> None:
    assert "DenyReadingTokens" in shared_policies(machine)


def test_only_create_secret_can_write_a_value() -> None:
    writing = {"secretsmanager:CreateSecret", "secretsmanager:PutSecretValue"}

    assert [name for name, function in FUNCTIONS.items() if actions(function) & writing] == ["CreateSecretFunction"]


def test_a_shared_policy_is_carried_by_several_roles() -> None:
    carried = Counter(name for role in ROLES.values() for name in shared_policies(role))

    assert set(carried) == set(POLICIES) - {"ReaderBoundary"}
    assert [name for name, times in carried.items() if times < 2] == []


@pytest.mark.parametrize("role", ROLES.values(), ids=ROLES)
def test_a_role_carries_no_more_policies_than_iam_allows(role: dict[str, Any]) -> None:
    """SAM adds AWSXRayDaemonWriteAccess, and AWSLambdaBasicExecutionRole to functions.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    assert len(shared_policies(role)) + 2 <= 10


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_a_shared_policy_fits_into_iam(policy: dict[str, Any]) -> None:
    """IAM counts the characters of a policy without white space, here with the longest partition, Region, and prefixes.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    text = json.dumps(policy["PolicyDocument"], separators=(",", ":"))
    longest = {
        "AWS::Partition": "aws-iso-b",
        "AWS::Region": "us-isob-east-1",
        "AWS::AccountId": "0" * 12,
        "AWS::StackName": "s" * 128,
        "SecretPrefix": "x" * 64,
        "AdoptedSecretPrefix": "x" * 64,
        "FunctionLogs": "x" * 140,
    }
    text = re.sub(r'\{"Fn::Sub":("[^"]*")\}', r"\1", text)
    text = re.sub(r"\$\{([\w:]+)\}", lambda match: longest[match[1]], text)
    text = re.sub(r'\{"(?:Ref|Fn::GetAtt)":"[\w.]+"\}', f'"{"x" * 200}"', text)

    assert "${" not in text
    assert "Fn::" not in text
    assert len(re.sub(r"\s", "", text)) <= 6144


@machines
def test_substitutions_are_the_placeholders_of_the_state_machine(machine: dict[str, Any]) -> None:
    assert (ROOT / machine["DefinitionUri"]).is_file()
    text = MACHINE_TEXTS[machine["DefinitionUri"].removeprefix("statemachine/").removesuffix(".asl.json")]

    found = machine["DefinitionSubstitutions"]
    assert set(found) == set(re.findall(r"\$\{(\w+)\}", text))
    assert {name: found[name] for name in found if name.endswith("FunctionArn")} == {
        name: {"Fn::GetAtt": f"{name.removesuffix('Arn')}.Arn"} for name in found if name.endswith("FunctionArn")
    }


@machines
def test_a_state_machine_can_invoke_only_the_functions_that_it_names(machine: dict[str, Any]) -> None:
    invoking, *others = own_statements(machine)
    functions = [value for name, value in machine["DefinitionSubstitutions"].items() if name.endswith("FunctionArn")]

    assert invoking["Action"] == "lambda:InvokeFunction"
    assert invoking["Resource"] == functions
    assert not others or "DataBucket" in machine["DefinitionSubstitutions"]  # a distributed Map needs more
    assert shared_policies(machine) == ["DenyReadingTokens", "ReportExecutions"]


@machines
def test_a_state_machine_logs_its_events_without_their_data(machine: dict[str, Any]) -> None:
    assert machine["Logging"]["Level"] == "ALL"
    assert machine["Logging"]["IncludeExecutionData"] is False
    assert machine["Type"] == "STANDARD"
    assert machine["Tracing"] == {"Enabled": True}


def test_every_event_that_cannot_be_delivered_is_kept() -> None:
    started = {name: started for name, started in ROLES.items() if "Events" in started}

    assert started
    for name, target in started.items():
        if name in FUNCTIONS:
            assert target["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]["Type"] == "SQS", name
        for event in target["Events"].values():
            queue, _, attribute = event["Properties"]["DeadLetterConfig"]["Arn"]["Fn::GetAtt"].partition(".")
            assert (queue in QUEUES, attribute) == (True, "Arn")
            assert event["Properties"]["RetryPolicy"]["MaximumRetryAttempts"] > 0


def test_only_requests_the_queue_and_the_registry_start_a_function() -> None:
    events = [(name, event["Type"]) for name, function in FUNCTIONS.items() for event in function.get("Events", {}).values()]
    sources = [mapping["EventSourceArn"]["Fn::GetAtt"] for mapping in of_type("AWS::Lambda::EventSourceMapping").values()]

    assert sorted(events) == [
        ("ReceiveRequestFunction", "EventBridgeRule"),
    ]
    assert sources == ["HintQueue.Arn", "AccessTable.StreamArn"]


def test_alarms_and_dashboard_are_a_nested_application_that_can_run_nothing() -> None:
    assert (ROOT / NESTED["Location"]).read_text()
    types = {resource["Type"] for resource in OBSERVABILITY["Resources"].values()}
    assert types == {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::SNS::Topic", "AWS::SNS::TopicPolicy"}
    assert set(NESTED["Parameters"]) == set(OBSERVABILITY["Parameters"])
    assert of_type("AWS::CloudWatch::Alarm") == {}


def watched(alarm: dict[str, Any]) -> list[tuple[str, object]]:
    """Returns the metrics of an alarm, each with the value of its dimension in template.yaml."""
    metrics = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query] or [alarm]
    return [(metric["MetricName"], _passed(dimension["Value"])) for metric in metrics for dimension in metric["Dimensions"]]


def _passed(value: Any) -> object:
    """Returns what template.yaml passes for a parameter of the nested application; other values as they are."""
    passed = NESTED["Parameters"][value["Ref"]] if isinstance(value, dict) else value
    if isinstance(passed, dict) and "Fn::If" in passed:
        _, passed, _ = passed["Fn::If"]
    return next(iter(passed.values())) if isinstance(passed, dict) else passed


def test_every_queue_is_encrypted_and_watched() -> None:
    dimensions = [value for alarm in ALARMS.values() for _, value in watched(alarm)]

    assert QUEUES
    for name, queue in QUEUES.items():
        assert f"{name}.QueueName" in dimensions
        assert queue["SqsManagedSseEnabled"] is True


def test_one_alarm_watches_every_way_in_which_the_executions_of_a_state_machine_fail() -> None:
    summing = [alarm for alarm in ALARMS.values() if "Metrics" in alarm]

    # The executions of requests also fail if their request is rejected, which is for its sender alone. One alarm watches them.
    requests = {"BulkStateMachine", "OffboardStateMachine", "OnboardStateMachine", "RotateStateMachine"}
    # An alarm has at most ten metrics. A discovery changes nothing, and end-request reports one that does not report its end.
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Create-alarm-on-metric-math-expression.html
    others = STATE_MACHINES.keys() - requests - {"DiscoverStateMachine"}
    watching = [{machine} for machine in others] + [requests]
    assert sorted(sorted(watched(alarm)) for alarm in summing) == sorted(
        sorted(
            [("RequestFailed", "report_outcome")] * (machines_of == requests)
            + [("ExecutionsFailed", machine) for machine in machines_of - requests]
            + [(metric, machine) for machine in machines_of for metric in ("ExecutionsAborted", "ExecutionsTimedOut")]
        )
        for machines_of in watching
    )
    for alarm in summing:
        [shown] = [query for query in alarm["Metrics"] if query.get("ReturnData", True)]
        assert shown["Expression"] == "SUM(FILL(METRICS(), 0))"
        # A minute that FILL fills before its data points arrive must not end the evaluation.
        assert (alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"] > 1) == (1, True)


def test_alarms_on_current_numbers_stay_on_until_the_next_sweep() -> None:
    numbers = ("RevokedAccesses", "DriftedAccesses", "IrrevocableGrants", "RepairStorm", "FlappingFindings")
    current = {(name, "latchkey") for name in numbers}
    current |= {("Unreadable", "sweep_grants")}
    ignoring = {name: alarm for name, alarm in ALARMS.items() if alarm["TreatMissingData"] == "ignore"}

    assert {metric for alarm in ignoring.values() for metric in watched(alarm)} == current
    assert {(alarm["Statistic"], alarm["Threshold"]) for alarm in ignoring.values()} == {("Maximum", 1)}


@alarms
def test_every_alarm_notifies_the_topic(alarm: dict[str, Any]) -> None:
    assert alarm["AlarmActions"] == [{"Fn::If": ["TopicIsOwn", {"Ref": "AlarmTopic"}, {"Ref": "AlarmTopicArn"}]}]
    assert NESTED["Parameters"]["AlarmTopicArn"] == {"Ref": "AlarmTopicArn"}


def test_only_alarms_of_the_account_can_publish_to_the_topic_of_the_stack() -> None:
    [statement] = OBSERVABILITY["Resources"]["AlarmTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]

    assert (statement["Principal"], statement["Action"]) == ({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish")
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert statement["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"].endswith("${AWS::AccountId}:alarm:*")


# Options of the AWS CLI itself, which are no members of a request.
CLI_OPTIONS = {"query", "output", "max-items", "cli-binary-format"}


@alarms
def test_every_alarm_ends_in_a_command_that_the_aws_cli_knows(alarm: dict[str, Any]) -> None:
    said, _, command = alarm["AlarmDescription"]["Fn::Sub"].partition(" Run: ")
    assert said.endswith(".")
    calls = [command, *re.findall(r"\$\((aws [^)]+)\)", command)]

    for call in calls:
        aws, service, operation, *words = shlex.split(call)
        model = Session().get_service_model(service)
        [called] = [name for name in model.operation_names if xform_name(name, "-") == operation]
        request: Any = model.operation_model(called).input_shape
        members = {xform_name(member, "-") for member in request.members}
        assert aws == "aws"
        assert {word.removeprefix("--") for word in words if word.startswith("--")} <= members | CLI_OPTIONS


@pytest.mark.parametrize(("name", "parameter"), TEMPLATE["Parameters"].items(), ids=TEMPLATE["Parameters"])
def test_every_parameter_is_described_and_validated_and_its_default_is_valid(name: str, parameter: dict[str, Any]) -> None:
    assert parameter["Description"].endswith(".")
    if parameter["Type"] == "String":
        allowed = parameter.get("AllowedPattern") or "|".join(parameter["AllowedValues"])
        assert re.fullmatch(allowed, str(parameter["Default"]))


def test_every_output_is_described() -> None:
    assert {"RequestBusName", "AccessTableName", "OnboardStateMachineArn"} <= set(TEMPLATE["Outputs"])
    assert all(output["Description"] for output in TEMPLATE["Outputs"].values())


def test_the_registry_survives_the_stack() -> None:
    table = RESOURCES["AccessTable"]

    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["Properties"]["DeletionProtectionEnabled"]["Fn::If"] == ["DataIsProtected", True, False]
    assert TEMPLATE["Parameters"]["ProtectData"]["Default"] == "true"


def test_audit_records_survive_the_stack_and_are_written_by_one_function_only() -> None:
    table, registry = RESOURCES["AuditTable"], RESOURCES["AccessTable"]
    settings = ("DeletionProtectionEnabled", "PointInTimeRecoverySpecification", "SSESpecification")
    writing = {
        (name, action)
        for name, role in ROLES.items()
        for statement in statements(role)
        if statement["Effect"] == "Allow" and "AuditTable.Arn" in json.dumps(statement["Resource"])
        for action in listed(statement["Action"])
    }

    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert {name: table["Properties"][name] for name in settings} == {name: registry["Properties"][name] for name in settings}
    assert writing == {
        ("AppendAuditRecordsFunction", "dynamodb:BatchGetItem"),
        ("AppendAuditRecordsFunction", "dynamodb:PutItem"),
        ("ExportAuditFunction", "dynamodb:Query"),
        ("ExportAuditFunction", "dynamodb:Scan"),
    }


def test_every_action_of_an_audit_record_is_documented() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs/audit.md").read_text().partition("| Action |")[2], re.MULTILINE)

    assert rows == [action.value for action in Action]


def test_every_change_that_can_be_a_fact_is_delivered() -> None:
    mapping = RESOURCES["RegistryChanges"]["Properties"]
    [one] = mapping["FilterCriteria"]["Filters"]

    assert RESOURCES["AccessTable"]["Properties"]["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert json.loads(one["Pattern"]) == {"dynamodb": {"Keys": {"kind": {"S": sorted(KINDS)}}}}
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert not {"MaximumRetryAttempts", "MaximumRecordAgeInSeconds", "DestinationConfig"} & {*mapping}, "no change is given up"


def test_the_data_bucket_is_private_encrypted_and_versioned_and_survives_the_stack() -> None:
    bucket, policy = RESOURCES["DataBucket"], RESOURCES["DataBucketPolicy"]["Properties"]["PolicyDocument"]
    [encryption] = bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    blocked = bucket["Properties"]["PublicAccessBlockConfiguration"]
    [statement] = policy["Statement"]

    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert encryption == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert bucket["Properties"]["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(blocked) == {"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"}
    assert all(blocked.values())
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_results_expire_and_manifests_and_exports_stay() -> None:
    """A rule without a prefix covers the whole bucket, so it must expire no current version."""
    rules = RESOURCES["DataBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    expiring = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule}
    [whole] = [rule for rule in rules if "Prefix" not in rule]

    assert expiring == {"bulk/": 90, "discoveries/": 90, "reconciliations/": 90}
    assert whole["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert whole["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}


def test_a_first_deployment_that_fails_deletes_nothing_that_is_protected_against_deletion() -> None:
    deleted = [one for one in RESOURCES.values() if one.get("DeletionPolicy", "Delete") in ("Delete", "RetainExceptOnCreate")]
    protections = {name for one in deleted for name in one.get("Properties", {}) if "Protection" in name}

    assert protections == set()


def test_the_boundary_of_the_readers_roles_survives_the_stack() -> None:
    """IAM deletes no policy that is a boundary, and the readers' roles do not belong to the stack."""
    boundary = RESOURCES["ReaderBoundary"]

    assert (boundary["DeletionPolicy"], boundary["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_an_update_does_not_replace_the_boundary_of_the_readers_roles() -> None:
    """A changed description or name replaces a managed policy, and the existing roles would keep the former one.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-managedpolicy.html
    """
    boundary = POLICIES["ReaderBoundary"]

    assert set(boundary) == {"Description", "PolicyDocument"}
    assert boundary["Description"] == "Bounds the roles through which services read their secret"


def test_the_layer_fits_the_runtime_of_the_functions() -> None:
    [layer] = of_type("AWS::Serverless::LayerVersion")

    assert GLOBALS["Layers"] == [{"Ref": layer}]
    assert listed(of_type("AWS::Serverless::LayerVersion")[layer]["CompatibleRuntimes"]) == [GLOBALS["Runtime"]]


def test_the_grace_period_fits_into_the_clean_up() -> None:
    longest = TEMPLATE["Parameters"]["GraceSeconds"]["MaxValue"]

    assert 2 * longest <= json.loads(MACHINE_TEXTS["clean-up-grants"])["TimeoutSeconds"]


def test_the_retention_of_logs_can_be_every_value_of_cloudwatch() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""
    logs = Session().get_service_model("logs")
    [listed] = re.findall(r"Possible values are: ([0-9, and]+)\.", logs.shape_for("Days").documentation)

    assert TEMPLATE["Parameters"]["LogRetentionDays"]["AllowedValues"] == [int(days) for days in re.findall(r"\d+", listed)]


def test_the_prefixes_are_checked_before_the_boundary_changes() -> None:
    guarded = RESOURCES["SecretPrefixes"]["Properties"]

    assert RESOURCES["ReaderBoundary"]["DependsOn"] == "SecretPrefixes"
    assert {name: guarded[name] for name in ("SecretPrefix", "AdoptedSecretPrefix")} == {
        "SecretPrefix": {"Ref": "SecretPrefix"},
        "AdoptedSecretPrefix": {"Ref": "AdoptedSecretPrefix"},
    }
    assert guarded["ServiceToken"] == {"Fn::GetAtt": "GuardPrefixesFunction.Arn"}
    # CloudFormation waits for a slow function, but not an hour for one that crashed.
    assert GLOBALS["Timeout"] < guarded["ServiceTimeout"] < 3600
