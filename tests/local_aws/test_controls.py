"""The controls under /_local/: health, faults, assumptions, calls; wrong input changes nothing."""

import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from local_aws.embedded import Embedded
from tests.local_aws.conftest import Access

ONCE = Config(retries={"total_max_attempts": 1})


def test_health_names_the_origin(local: Embedded) -> None:
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
def test_a_fault_speaks_the_protocol_of_its_service(
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
def test_a_fault_strikes_before_or_after_the_effect(local: Embedded, access: Access, when: str, effect: bool) -> None:
    fault = {"service": "mediatailor", "operation": "CreateSourceLocation", "error": "Busy", "status": 500, "when": when}
    local.control("POST", "faults", fault)
    client = local.client("mediatailor", config=ONCE)
    with pytest.raises(ClientError, match="Busy"):
        access.create(client)
    found = [item["SourceLocationName"] for item in client.list_source_locations()["Items"]]
    assert (access.name in found, len(access.grants()) == 1) == (effect, effect)


@pytest.mark.parametrize(("when", "effect"), [("before", False), ("after", True)])
def test_a_timeout_drops_the_connection(local: Embedded, access: Access, when: str, effect: bool) -> None:
    fault = {"service": "kms", "operation": "DisableKey", "error": "timeout", "when": when}
    local.control("POST", "faults", fault)
    client = local.client("kms", config=ONCE)
    with pytest.raises(ConnectionClosedError):
        client.disable_key(KeyId=access.key)
    assert client.describe_key(KeyId=access.key)["KeyMetadata"]["Enabled"] is not effect


def test_cleared_faults_do_not_strike(local: Embedded) -> None:
    local.control("POST", "faults", {"service": "kms", "operation": "ListKeys", "error": "X"})
    local.control("DELETE", "faults")
    local.client("kms", config=ONCE).list_keys()


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
        ("PUT", "assumptions", {"emptyPages": True, "grantForm": "role"}),
        ("PUT", "assumptions", {"emptyPages": True, "trail": {"lose": 2}}),
        ("PUT", "assumptions", {"emptyPages": True, "unheardOf": 1}),
        ("PUT", "assumptions", ["emptyPages"]),
    ],
)
def test_wrong_input_is_refused_and_changes_nothing(local: Embedded, method: str, path: str, body: object) -> None:
    before = local.control("GET", "assumptions")
    with pytest.raises(AssertionError, match="400"):
        local.control(method, path, body)
    assert local.control("GET", "assumptions") == before
    local.client("kms", config=ONCE).list_keys()


def test_broken_json_is_refused(local: Embedded) -> None:
    for path, method in (("faults", "POST"), ("assumptions", "PUT")):
        request = urllib.request.Request(f"{local.url}/_local/{path}", data=b"{", method=method)
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(request, timeout=5)


def test_assumptions_merge_and_reset(local: Embedded) -> None:
    default = local.control("GET", "assumptions")
    changed = local.control("PUT", "assumptions", {"emptyPages": True, "trail": {"lose": 0.5}})
    assert changed == default | {"emptyPages": True, "trail": default["trail"] | {"lose": 0.5}}
    local.control("PUT", "assumptions", {"tagLagSeconds": 2})
    assert local.control("GET", "assumptions")["emptyPages"] is True
    assert local.control("DELETE", "assumptions") == default


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "nothing", "404"), ("POST", "health", "405")])
def test_unknown_controls_say_so(local: Embedded, method: str, path: str, status: str) -> None:
    with pytest.raises(AssertionError, match=status):
        local.control(method, path, {} if method == "POST" else None)
