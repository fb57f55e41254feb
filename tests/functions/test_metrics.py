"""Every metric of Latchkey that an alarm or the dashboard names is emitted, with the dimension that it names."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from latchkey.access.findings import FindingKind, finding
from latchkey.aws import clients
from latchkey.events.outcomes import DetailType
from latchkey.observability import metrics
from latchkey.registry import registry
from latchkey.registry.revocations import Revocation
from latchkey.requests.sender import NOT_ALLOWED
from tests.contract.artifacts import ALARMS
from tests.contract.dashboard import dashboard_metrics
from tests.functions.account import Account
from tests.functions.clean_up_steps import ACCESS, onboarded
from tests.functions.onboarding_requests import Run
from tests.functions.state_machine import StateMachine
from tests.functions.test_reconciliation import decide, event, lose_statements, reconcile, scheduled
from tests.functions.test_report_clean_up import LOST, cleaned, found, observed, removed, report, survey_of
from tests.functions.test_report_outcome import FAILED, REJECTED, caught

NUMBERS = ("RevokedAccesses", "DriftedAccesses", "IrrevocableGrants")
type Emitted = dict[tuple[str, str], list[float]]


@pytest.fixture(autouse=True)
def bus(account: Account, stack: Callable[..., None]) -> None:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    account.open_bus()
    StateMachine("end-request")
    StateMachine("clean-up-grants")


@pytest.fixture
def emitted(run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Emitted]:
    """Runs a function and returns the values of its metrics by name and by the dimension `service`."""

    def emit(function: str, event: dict[str, Any]) -> Emitted:
        monkeypatch.setattr(metrics.provider, "service", function)
        capsys.readouterr()
        run(function, event)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
        assert all(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]] for line in lines)
        return {
            (metric["Name"], line["service"]): line[metric["Name"]]
            for line in lines
            for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
        }

    return emit


def _named() -> set[tuple[str, str]]:
    found = [
        query["MetricStat"]["Metric"]
        for alarm in ALARMS.values()
        for query in alarm.get("Metrics", [])
        if "MetricStat" in query
    ]
    found += [alarm for alarm in ALARMS.values() if "MetricName" in alarm]
    return {(one["MetricName"], one["Dimensions"][0]["Value"]) for one in found if one["Namespace"] == "Latchkey"}


def _shown() -> set[tuple[str, str]]:
    """The metrics of the dashboard, without those of outcomes, which have the names of their detail types."""
    outcomes = {(name.replace(" ", ""), "report_outcome") for name in get_args(DetailType)}
    return dashboard_metrics() - outcomes


def test_every_metric_that_an_alarm_or_the_dashboard_names_is_emitted(
    run: Run, account: Account, emitted: Callable[..., Emitted]
) -> None:
    access = onboarded(run, account)
    clients.s3().create_bucket(Bucket="latchkey-data")
    key = "reconciliations/run-1/accesses.jsonl"
    clients.s3().put_object(Bucket="latchkey-data", Key=key, Body=b"")
    inventory = {"key": key, "accesses": 0}
    foreign = caught("InvalidRequest", json.dumps({"problems": [{"place": "accessId", "rule": NOT_ALLOWED}]}))
    look = survey_of(access, found(access, "orphaned"))
    gone = report(look=look, cleaned=cleaned(removed(access)), observed=observed("gone"))
    everything = [
        emitted("report_outcome", FAILED),
        emitted("report_outcome", REJECTED | {"requestId": "request-2", "caught": foreign}),
        emitted("report_clean_up", report(observed=observed("revoked", LOST))),
        emitted("report_clean_up", gone),
        emitted("sweep_grants", {"id": "event-1"}),
        emitted("decide_repairs", event() | {"startedAt": "2026-11-28T00:00:00.000Z", "inventory": inventory}),
    ]

    assert _named() | _shown() <= {metric for one in everything for metric in one}


def test_a_sweep_emits_the_current_numbers(run: Run, account: Account, emitted: Callable[..., Emitted]) -> None:
    access = onboarded(run, account)
    assert _current(emitted("sweep_grants", {"id": "event-1"})) == {
        "RevokedAccesses": 0,
        "DriftedAccesses": 0,
        "IrrevocableGrants": 0,
    }
    registry().revocations.note(Revocation(ACCESS, "g-1", access.key, "it is absent"), "look-1", datetime.now(UTC))
    [noted] = registry().revocations.open(ACCESS)
    registry().revocations.mark_irrevocable(noted)
    record = registry().accesses.get(ACCESS)
    assert record
    registry().accesses.record_status(
        record, "revoked", ["grant is there"], [finding(FindingKind.KEY_STATEMENT_MISSING, "is missing")]
    )

    assert _current(emitted("sweep_grants", {"id": "event-2"})) == {
        "RevokedAccesses": 1,
        "DriftedAccesses": 1,
        "IrrevocableGrants": 1,
    }


def _current(values: Emitted) -> dict[str, float]:
    return {name: value for (name, service), [value] in values.items() if service == "latchkey"}


def test_a_report_raises_the_number_at_once(run: Run, account: Account, emitted: Callable[..., Emitted]) -> None:
    onboarded(run, account)
    drifted = observed("revoked", LOST, findings=[LOST[0] | {"name": "key policy admits the users"}])

    values = emitted("report_clean_up", report(observed=drifted))

    assert _current(values) == {"RevokedAccesses": 1, "DriftedAccesses": 1}


def test_a_whole_reconciliation_emits_its_findings_by_kind(
    run: Run, account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    access = onboarded(run, account)
    clients.s3().create_bucket(Bucket="latchkey-data")
    lose_statements(account, access.key)
    reconcile(run)

    for asked in (scheduled(), event(accessId=ACCESS)):
        capsys.readouterr()
        findings = decide(run, asked)["findings"]
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
        found = {line["kind"]: line["Findings"] for line in lines if "Findings" in line}
        assert findings
        assert found == ({kind: [number] for kind, number in findings.items()} if asked["asked"] is None else {})
        assert {line["service"] for line in lines if "Findings" in line} <= {"latchkey"}
