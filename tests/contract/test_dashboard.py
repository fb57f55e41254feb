"""The dashboard shows every alarm and outcome, and names only what exists."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from latchkey.events.outcomes import DetailType
from tests.contract.artifacts import ALARMS, OBSERVABILITY
from tests.contract.dashboard import body, dashboard_metrics, metrics, widgets

ALARM_ARN = "arn:<AWS::Partition>:cloudwatch:<AWS::Region>:<AWS::AccountId>:alarm"
_COLUMNS = 24


@pytest.mark.parametrize("central", [True, False])
def test_every_alarm_is_shown(central: bool) -> None:
    [shown] = [widget["properties"]["alarms"] for widget in body(central=central)["widgets"] if widget["type"] == "alarm"]

    names = {name for name in ALARMS if central or name != "CentralDeadLettersAlarm"}
    assert {*shown} == {f"{ALARM_ARN}:<{name}>" for name in names}


def test_every_outcome_is_shown() -> None:
    shown = {name for name, service in dashboard_metrics() if service == "report_outcome"}

    assert shown == {name.replace(" ", "") for name in get_args(DetailType)}


def test_every_metric_that_an_alarm_on_a_current_number_watches_is_shown() -> None:
    numbers = {alarm["MetricName"] for alarm in ALARMS.values() if alarm["TreatMissingData"] == "ignore"}

    assert numbers <= {name for name, _ in dashboard_metrics()}


def test_metrics_of_other_services_name_parameters() -> None:
    others = [metric for metric in metrics() if metric[0] != "Latchkey"]

    assert {namespace for namespace, *_ in others} == {"AWS/SQS", "AWS/States"}
    assert {value.strip("<>") for *_, value in others} <= OBSERVABILITY["Parameters"].keys()


def test_every_machine_is_shown_with_its_duration_and_failures() -> None:
    machines = {name for name in OBSERVABILITY["Parameters"] if name.endswith("StateMachineArn")}

    for metric in ("ExecutionTime", "ExecutionsFailed"):
        assert {value.strip("<>") for _, name, _, value in metrics() if name == metric} == machines


def test_searches_use_the_dimensions_with_which_the_functions_emit() -> None:
    expressions = {
        one["expression"] for widget in widgets("metric") for [one, *_] in widget["metrics"] if isinstance(one, dict)
    }

    assert expressions == {
        """SEARCH('{Latchkey,service} MetricName="StepFailed"', 'Sum', 300)""",
        """SEARCH('{Latchkey,kind,service} MetricName="Findings"', 'Maximum', 3600)""",
    }


def test_the_log_is_that_of_the_functions() -> None:
    [log] = widgets("log")

    assert log["query"].startswith("SOURCE '<FunctionLogGroupName>' | ")


def test_no_widgets_overlap() -> None:
    cells = [cell for widget in body()["widgets"] for cell in _cells(widget)]

    assert len(cells) == len({*cells})
    assert max(x for x, _ in cells) < _COLUMNS


def _cells(widget: dict[str, Any]) -> list[tuple[int, int]]:
    return [
        (x, y)
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
