"""The parts of the live check that need no AWS: masking, evidence, waits, reasons and reports."""

import dataclasses
import json
import threading
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber

from live_check import evidence, leftovers, reports
from live_check.answers import Answer, Finding, StoppedError, UnsettledError
from live_check.asking import ask, ask_all
from live_check.check import Check, Clients, Stage
from live_check.evidence import AwsCall, Evidence, masked
from live_check.leftovers import Found, Resource
from live_check.names import Run, is_named_by_us, new_id
from live_check.patience import Patience
from live_check.points import Point
from live_check.stack import RefusedError, identify

ACCOUNT = "999988887777"
RUN = Run(ACCOUNT, "eu-west-1", "aws", f"arn:aws:sts::{ACCOUNT}:assumed-role/Admin/me", "0a1b2c3d")


def error(code: str, status: int, operation: str = "CreateFlow") -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": f"denied in {ACCOUNT}"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)


def point(ask: Any, minutes: float = 1) -> Point:
    return Point("a-point", "M1", None, (), minutes, ask)


def finding_of(ask_: Any, stopped: threading.Event | None = None, minutes: float = 1) -> Finding:
    stage = Stage(RUN, Clients(boto3.Session(region_name="eu-west-1")), {}, "https://origin.example")
    return ask(stage, point(ask_, minutes), stopped or threading.Event(), hurry=1000)


def raises(failure: Exception) -> Any:
    def ask_(check: Check) -> Answer:
        raise failure

    return ask_


def test_the_account_is_masked_everywhere_in_a_value() -> None:
    value = {f"arn:aws:iam::{ACCOUNT}:root": [f"MediaTailor-SourceLocation-{ACCOUNT}-sports", 403, None, True]}

    assert masked(value, ACCOUNT) == {
        "arn:aws:iam::123456789012:root": ["MediaTailor-SourceLocation-123456789012-sports", 403, None, True]
    }


def test_other_accounts_and_principal_ids_are_masked_and_longer_numbers_stay() -> None:
    text = "111122223333 AROAIIAX5FNAQ2EXAMPLE 1764241234567"

    assert masked(text, ACCOUNT) == "000000000000 AROA… 1764241234567"


def test_calls_of_the_current_point_are_evidence_without_secret_values() -> None:
    client = evidence.observe(boto3.client("secretsmanager", region_name="eu-west-1"))
    calls = evidence.collect().calls
    with Stubber(client) as stub:
        stub.add_response("create_secret", {"Name": "n"})
        client.create_secret(Name="n", SecretString="value")
        stub.add_client_error("delete_secret", "ResourceNotFoundException", http_status_code=400)
        with pytest.raises(ClientError):
            client.delete_secret(SecretId="n")

    assert [call.operation for call in calls] == ["CreateSecret", "DeleteSecret"]
    assert calls[0].request["Name"] == "n"
    assert "value" not in str(calls)
    assert [call.error for call in calls] == ["", "ResourceNotFoundException"]


@pytest.mark.parametrize(
    "member", ["SecretString", "SecretBinary", "Plaintext", "GrantToken", "NextToken", "Policy", "TemplateBody", "Password"]
)
def test_members_that_can_hold_a_value_or_a_document_are_omitted(member: str) -> None:
    context: dict[str, Any] = {}
    evidence._remember({"outer": [{member: "value"}]}, context)

    assert "value" not in json.dumps(context)


def test_arns_of_secrets_are_evidence() -> None:
    context: dict[str, Any] = {}
    evidence._remember({"SecretArn": "arn:aws:secretsmanager:…", "SecretStringKey": "token"}, context)

    assert "arn:aws:secretsmanager" in json.dumps(context)


def test_a_call_is_written_without_empty_members() -> None:
    call = AwsCall("2026-11-27T10:00:00Z", "kms", "ListGrants", {}, 200, "", "", "id-1")

    assert call.as_json() == {
        "at": "2026-11-27T10:00:00Z", "service": "kms", "operation": "ListGrants", "status": 200, "requestId": "id-1"
    }  # fmt: skip


def test_of_equal_calls_in_a_row_the_first_and_the_last_are_written() -> None:
    calls = [AwsCall(str(second), "kms", "ListGrants", {}, 200, "", "", f"id-{second}") for second in range(5)]
    calls.insert(4, AwsCall("x", "kms", "RevokeGrant", {}, 200, "", "", "id-x"))

    written = [(call["operation"], call["requestId"], call.get("times")) for call in Evidence(calls).as_json()]

    assert written == [
        ("ListGrants", "id-0", None),
        ("ListGrants", "id-3", 4),
        ("RevokeGrant", "id-x", None),
        ("ListGrants", "id-4", None),
    ]


def test_a_service_that_is_not_in_the_region_is_the_reason() -> None:
    stage = Stage(dataclasses.replace(RUN, region="mx-central-1"), Clients(boto3.Session(region_name="mx-central-1")), {}, "")
    asked = Point("a-point", "M1", None, ("mediatailor",), 1, lambda check: Answer(True, ""))

    finding = ask(stage, asked, threading.Event())

    assert finding.answer is None
    assert "mediatailor is not available in mx-central-1" in finding.reason


@pytest.mark.parametrize(
    ("failure", "part"),
    [
        (UnsettledError("The time ran out."), "The time ran out."),
        (StoppedError(), "interrupted"),
        (error("AccessDeniedException", 403), "A permission is missing: CreateFlow"),
        (error("AccessDeniedException", 400), "A permission is missing: CreateFlow"),
        (error("NotImplemented", 501), "does not support CreateFlow"),
        (error("BadRequestException", 400), "CreateFlow failed with 400 BadRequestException"),
        (KeyError("Flow"), "KeyError"),
        (EndpointConnectionError(endpoint_url="https://mediaconnect"), "not available in eu-west-1"),
    ],
)
def test_every_failure_is_a_reason(failure: Exception, part: str) -> None:
    found = finding_of(raises(failure))

    assert found.answer is None
    assert part in found.reason
    assert ACCOUNT not in found.reason


def test_a_point_that_waits_too_long_is_unsettled() -> None:
    def ask_(check: Check) -> Answer:
        check.until(lambda: False, 10**9)
        raise AssertionError

    assert "time ran out" in finding_of(ask_, minutes=0.001).reason


def test_an_interruption_ends_a_wait_at_once() -> None:
    stopped = threading.Event()

    def ask_(check: Check) -> Answer:
        stopped.set()
        check.until(lambda: False, 10**9)
        raise AssertionError

    assert "interrupted" in finding_of(ask_, stopped).reason


def test_a_failure_of_one_point_does_not_affect_another() -> None:
    stage = Stage(RUN, Clients(boto3.Session(region_name="eu-west-1")), {}, "https://origin.example")
    answered = Point("answered", "M2", None, (), 1, lambda check: Answer(404, check.name()))
    seen: list[str] = []

    points = [point(raises(KeyError("x"))), answered]
    found = ask_all(stage, points, threading.Event(), lambda finding: seen.append(finding.point))

    assert [(finding.point, finding.answer is None) for finding in found] == [("a-point", True), ("answered", False)]
    assert sorted(seen) == ["a-point", "answered"]


def test_a_probe_is_asked_once_more_at_the_end_of_the_time() -> None:
    asked: list[int] = []

    def probe() -> bool:
        asked.append(1)
        return False

    assert Patience(threading.Event(), 60, hurry=1000).until(probe, 30) is None
    assert len(asked) >= 2


def test_the_root_user_and_a_missing_region_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    clients = Clients(boto3.Session(region_name="eu-west-1"))
    with pytest.raises(RefusedError, match="Region"):
        identify(clients, None)
    with Stubber(clients.get("sts")) as stub:
        stub.add_response("get_caller_identity", {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:root", "UserId": ACCOUNT})
        with pytest.raises(RefusedError, match="root"):
            identify(clients, "eu-west-1")


def test_what_lacks_the_tag_is_foreign_and_never_removed() -> None:
    foreign, ours = Resource("channel", "latchkey-live-check-x", "x", ""), Resource("channel", "y", "y", "run")

    assert Found([foreign, ours], {}).foreign == [foreign]
    assert leftovers.remove(None, [foreign], lambda _: None) == []  # type: ignore[arg-type]  # removing nothing calls no client


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("latchkey-live-check-1-a", True),
        ("latchkey-live-check/1/a", True),
        ("latchkey-live-checks", False),
        ("latchkey", False),
    ],
)
def test_names_with_the_prefix(name: str, ours: bool) -> None:
    assert is_named_by_us(name) is ours


def test_names_of_a_run_fit_the_services() -> None:
    """A role name has up to 64 characters, https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html."""
    assert len(f"latchkey-live-check-{new_id()}-CallerWithoutDecrypt") <= 64


def result(*findings: Finding) -> reports.Result:
    return reports.Result(RUN, "2026-11-27T10:00:00Z", "2026-11-27T10:30:00Z", findings, [f"flow of {ACCOUNT}"])


def found(switch: str | None, value: Any, name: str = "p") -> Finding:
    answer = None if value is None else Answer(value, f"seen | in {ACCOUNT}")
    return Finding(
        name, "M1", switch, "What?", "https://docs.aws.amazon.com/x", answer, "" if answer else "Why.", 1, Evidence()
    )


def test_the_first_point_about_a_switch_decides_and_members_are_nested() -> None:
    findings = [
        found("omittedOnPut", "keep"),
        found("omittedOnPut", "clear"),
        found("sourceAccountSent.mediatailor", True),
        found("sourceAccountSent.mediapackage", False),
        found("grantForm", None),
        found(None, 1),
    ]

    assert reports.switches(findings) == {
        "omittedOnPut": "keep",
        "sourceAccountSent": {"mediatailor": True, "mediapackage": False},
    }


def test_the_results_have_every_point_and_no_account(tmp_path: Path) -> None:
    data, report = reports.write(result(found("missingStatus", 404), found("grantForm", None)), tmp_path / "new")

    points = json.loads(data.read_text())["points"]
    assert [(each["settled"], each.get("value"), each.get("reason")) for each in points] == [
        (True, 404, None),
        (False, None, "Why."),
    ]
    assert ACCOUNT not in data.read_text() + report.read_text()
    rows = [line for line in report.read_text().splitlines() if line.startswith("| M1")]
    assert [row.replace("\\|", "").count("|") for row in rows] == [6, 6]
    assert "Not removed" in report.read_text()
