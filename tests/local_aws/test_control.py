"""The controls under /_local/: health, faults, assumptions, calls and their trace. Invalid input changes nothing."""

import io
import json
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded, until
from tests.local_aws.conftest import Access
from tests.local_aws.gap_account import Account, allow

ONCE = Config(retries={"total_max_attempts": 1})


def test_health_has_the_origin_url(local: Embedded) -> None:
    assert local.control("GET", "health") == {"ready": True, "stack": None, "originUrl": local.origin_url}


FAULTS: list[tuple[str, str, dict[str, Any], str]] = [
    ("kms", "ListKeys", {}, "ThrottlingException"),
    ("secretsmanager", "ListSecrets", {}, "InternalServiceError"),
    ("dynamodb", "ListTables", {}, "ProvisionedThroughputExceededException"),
    ("stepfunctions", "ListStateMachines", {}, "ThrottlingException"),
    ("events", "ListRules", {}, "InternalException"),
    ("iam", "ListRoles", {}, "Throttling"),
    ("sts", "GetCallerIdentity", {}, "ExpiredToken"),
    ("sqs", "ListQueues", {}, "ThrottlingException"),
    ("lambda", "ListFunctions", {}, "TooManyRequestsException"),
    ("scheduler", "ListSchedules", {}, "ThrottlingException"),
    ("s3", "ListBuckets", {}, "SlowDown"),
    ("mediatailor", "ListSourceLocations", {}, "TooManyRequestsException"),
]


@pytest.mark.parametrize(("service", "operation", "arguments", "error"), FAULTS, ids=[row[0] for row in FAULTS])
def test_fault_has_the_protocol_of_its_service(
    local: Embedded, service: str, operation: str, arguments: dict[str, Any], error: str
) -> None:
    fault = {"service": service, "operation": operation, "error": error, "status": 429, "times": 2}
    local.control("POST", "faults", fault)
    client = local.client(service, config=ONCE)
    call = getattr(client, _method(client, operation))
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            call(**arguments)
        assert caught.value.response["Error"]["Code"] == error
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    call(**arguments)


def _method(client: Any, operation: str) -> str:
    return next(str(name) for name, known in client.meta.method_to_api_mapping.items() if known == operation)


@pytest.mark.parametrize(("when", "effect"), [("before", False), ("after", True)])
def test_fault_occurs_before_or_after_the_effect(local: Embedded, access: Access, when: str, effect: bool) -> None:
    fault = {"service": "mediatailor", "operation": "CreateSourceLocation", "error": "Busy", "status": 500, "when": when}
    local.control("POST", "faults", fault)
    client = local.client("mediatailor", config=ONCE)
    with pytest.raises(ClientError, match="Busy"):
        access.create(client)
    found = [item["SourceLocationName"] for item in client.list_source_locations()["Items"]]
    assert (access.name in found, len(access.grants()) == 1) == (effect, effect)


@pytest.mark.parametrize(("when", "effect"), [("before", False), ("after", True)])
def test_timeout_drops_the_connection(local: Embedded, access: Access, when: str, effect: bool) -> None:
    fault = {"service": "kms", "operation": "DisableKey", "error": "timeout", "when": when}
    local.control("POST", "faults", fault)
    client = local.client("kms", config=ONCE)
    with pytest.raises(ConnectionClosedError):
        client.disable_key(KeyId=access.key)
    assert client.describe_key(KeyId=access.key)["KeyMetadata"]["Enabled"] is not effect


def test_deleted_faults_do_not_occur(local: Embedded) -> None:
    local.control("POST", "faults", {"service": "kms", "operation": "ListKeys", "error": "X"})
    local.control("DELETE", "faults")
    local.client("kms", config=ONCE).list_keys()


def test_lasting_fault_starts_at_the_nth_call_and_stays_with_its_operation(local: Embedded) -> None:
    fault = {"caller": ":root$", "call": 2, "error": "X", "lasting": True}
    local.control("POST", "faults", fault)
    kms, iam = local.client("kms", config=ONCE), local.client("iam", config=ONCE)
    iam.list_roles()
    for _ in range(2):
        with pytest.raises(ClientError, match="X"):
            kms.list_keys()
    iam.list_roles()
    met = [{"principal": f"arn:aws:iam::{ACCOUNT}:root", "service": "kms", "operation": "ListKeys", "count": 2}]
    assert local.control("GET", "faults") == met
    local.control("DELETE", "faults")
    assert local.control("GET", "faults") == []
    kms.list_keys()


@pytest.mark.parametrize(("when", "effect"), [("before", False), ("after", True)])
def test_held_call_waits_before_or_after_its_effect(local: Embedded, access: Access, when: str, effect: bool) -> None:
    local.control("POST", "faults", {"service": "kms", "operation": "DisableKey", "error": "hold", "when": when})
    kms = local.client("kms", config=ONCE)
    with ThreadPoolExecutor() as pool:
        held = pool.submit(kms.disable_key, KeyId=access.key)
        until(lambda: local.control("GET", "faults"), "the held call")
        until(lambda: _is_enabled(local, access) is not effect, "the effect of the held call")
        assert not held.done()
        local.control("DELETE", "faults")
        held.result(10)
    assert not _is_enabled(local, access)


def test_held_call_continues_while_other_faults_stay(local: Embedded, access: Access) -> None:
    local.control("POST", "faults", {"service": "kms", "operation": "DisableKey", "error": "hold"})
    local.control("POST", "faults", {"service": "kms", "operation": "ListKeys", "error": "LimitExceededException"})
    kms = local.client("kms", config=ONCE)
    with ThreadPoolExecutor() as pool:
        held = pool.submit(kms.disable_key, KeyId=access.key)
        until(lambda: local.control("GET", "faults"), "the held call")
        local.control("DELETE", "held")
        held.result(10)
    with pytest.raises(ClientError, match="LimitExceededException"):
        kms.list_keys()


def test_call_is_held_and_then_fails(local: Embedded, access: Access) -> None:
    for error in ("hold", "LimitExceededException"):
        local.control("POST", "faults", {"service": "kms", "operation": "DisableKey", "error": error})
    kms = local.client("kms", config=ONCE)
    with ThreadPoolExecutor() as pool:
        held = pool.submit(kms.disable_key, KeyId=access.key)
        until(lambda: local.control("GET", "faults"), "the held call")
        assert not held.done()
        local.control("DELETE", "held")
        with pytest.raises(ClientError, match="LimitExceededException"):
            held.result(10)
    assert _is_enabled(local, access)


def test_fault_selects_calls_by_their_body(local: Embedded, access: Access) -> None:
    local.control("POST", "faults", {"caller": ":root$", "body": "Limit.*7", "error": "X"})
    kms = local.client("kms", config=ONCE)
    kms.list_keys()
    with pytest.raises(ClientError, match="X"):
        kms.list_keys(Limit=7)


def _is_enabled(local: Embedded, access: Access) -> bool:
    enabled: bool = local.client("kms").describe_key(KeyId=access.key)["KeyMetadata"]["Enabled"]
    return enabled


FUNCTION = """
import boto3
from botocore.config import Config

def lambda_handler(event, context):
    kms = boto3.client("kms", config=Config(retries={"total_max_attempts": 1}))
    kms.disable_key(KeyId=event["key"])
    return kms.describe_key(KeyId=event["key"])["KeyMetadata"]["Enabled"]
"""


@pytest.fixture
def invoke(local: Embedded, access: Access) -> Callable[[str], Any]:
    """Invokes a function for a request, and returns its result."""
    account, packed = Account(local), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", FUNCTION)
    name = account.unique("function")
    account.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="app.lambda_handler",
        Role=account.role(allow("kms:*")).arn,
        Code={"ZipFile": packed.getvalue()},
        TracingConfig={"Mode": "Active"},
    )

    def invoke_for(request: str) -> Any:
        event = json.dumps({"request": {"requestId": request}, "key": access.key})
        return json.load(account.client("lambda").invoke(FunctionName=name, Payload=event)["Payload"])

    return invoke_for


@pytest.mark.parametrize(("when", "effect"), [("before", False), ("after", True)])
def test_function_is_killed_at_a_call_for_the_request(
    local: Embedded, access: Access, invoke: Callable[[str], Any], when: str, effect: bool
) -> None:
    local.control("POST", "faults", {"request": "request-1", "error": "killed", "when": when})
    assert invoke("request-1")["errorType"] == "Runtime.ExitError"
    assert _is_enabled(local, access) is not effect
    assert [call["operation"] for call in local.control("GET", "faults")] == ["DisableKey"]

    local.control("POST", "faults", {"request": "request-1", "error": "killed"})
    assert invoke("request-2") is False


def test_calls_of_one_request_are_held(local: Embedded, invoke: Callable[[str], Any]) -> None:
    for request in ("request-1", "request-2"):
        local.control("POST", "faults", {"request": request, "error": "hold"})
    with ThreadPoolExecutor() as pool:
        first, second = pool.submit(invoke, "request-1"), pool.submit(invoke, "request-2")
        until(lambda: local.control("GET", "held") == ["request-1", "request-2"], "the held calls")
        local.control("DELETE", "held", {"request": "request-1"})
        assert first.result(10) is False
        assert local.control("GET", "held") == ["request-2"]
        local.control("DELETE", "held")
        assert second.result(10) is False
    assert local.control("GET", "held") == []


def test_trace_has_the_calls_for_requests_in_order(local: Embedded, access: Access, invoke: Callable[[str], Any]) -> None:
    invoke("request-1")
    local.control("PUT", "trace")
    local.client("kms").list_keys()
    local.control("POST", "faults", {"request": "request-1", "error": "SomethingInvalid", "when": "after"})
    invoke("request-1")
    invoke("request-2")

    calls = local.control("GET", "trace")
    shown = [(call["request"], call["operation"], call["failed"], call["status"]) for call in calls]
    assert shown == [
        ("request-1", "DisableKey", "after", 400),
        ("request-2", "DisableKey", None, 200),
        ("request-2", "DescribeKey", None, 200),
    ]
    assert [call["parameters"] for call in calls] == [{"KeyId": access.key}] * 3
    assert local.control("GET", "trace") == []
    local.control("DELETE", "trace")
    invoke("request-1")
    assert local.control("GET", "trace") == []


def test_calls_are_counted_by_principal_and_operation(local: Embedded, access: Access) -> None:
    local.control("DELETE", "calls")
    role = local.assume("arn:aws:iam::000000000000:role/MediaTailorManagement")
    tailor = role.client("mediatailor", endpoint_url=local.url)
    for _ in range(2):
        tailor.list_source_locations()
    local.client("lambda").list_functions()
    calls = {(c["principal"], c["service"], c["operation"]): c["count"] for c in local.control("GET", "calls")}
    session = "arn:aws:sts::000000000000:assumed-role/MediaTailorManagement/tests"
    assert calls[session, "mediatailor", "ListSourceLocations"] == 2
    assert calls["arn:aws:iam::000000000000:root", "lambda", "ListFunctions"] == 1
    assert calls["arn:aws:iam::000000000000:root", "sts", "AssumeRole"] == 1
    local.control("DELETE", "calls")
    assert local.control("GET", "calls") == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "faults", {"service": "kms", "operation": "ListKeys"}),
        ("POST", "faults", {"service": "kms", "operation": "ListLocks", "error": "X"}),
        ("POST", "faults", {"service": "locks", "operation": "ListKeys", "error": "X"}),
        ("POST", "faults", {"service": "kms", "operation": "ListKeys", "error": "X", "when": "during"}),
        ("POST", "faults", {"service": "kms", "error": "X"}),
        ("POST", "faults", {"error": "X"}),
        ("POST", "faults", {"caller": "(", "error": "X"}),
        ("POST", "faults", {"caller": "a", "body": "(", "error": "X"}),
        ("DELETE", "held", {"requests": "request-1"}),
        ("PUT", "assumptions", {"emptyPages": True, "grantForm": "person"}),
        ("PUT", "assumptions", {"emptyPages": True, "trail": {"lose": 2}}),
        ("PUT", "assumptions", {"emptyPages": True, "unheardOf": 1}),
        ("PUT", "assumptions", ["emptyPages"]),
    ],
)
def test_invalid_input_is_rejected_and_changes_nothing(local: Embedded, method: str, path: str, body: object) -> None:
    before = local.control("GET", "assumptions")
    with pytest.raises(AssertionError, match="400"):
        local.control(method, path, body)
    assert local.control("GET", "assumptions") == before
    local.client("kms", config=ONCE).list_keys()


def test_invalid_json_is_rejected(local: Embedded) -> None:
    for path, method in (("faults", "POST"), ("assumptions", "PUT")):
        request = urllib.request.Request(f"{local.url}/_local/{path}", data=b"{", method=method)
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(request, timeout=5)


def test_assumptions_are_merged_and_reset(local: Embedded) -> None:
    default = local.control("GET", "assumptions")
    changed = local.control("PUT", "assumptions", {"emptyPages": True, "trail": {"lose": 0.5}})
    assert changed == default | {"emptyPages": True, "trail": default["trail"] | {"lose": 0.5}}
    local.control("PUT", "assumptions", {"tagLagSeconds": 2})
    assert local.control("GET", "assumptions")["emptyPages"] is True
    assert local.control("DELETE", "assumptions") == default


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "nothing", "404"), ("POST", "health", "405")])
def test_unknown_control_and_method_are_reported(local: Embedded, method: str, path: str, status: str) -> None:
    with pytest.raises(AssertionError, match=status):
        local.control(method, path, {} if method == "POST" else None)
