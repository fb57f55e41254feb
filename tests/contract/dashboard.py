"""The body of the dashboard, with a text in the place of each parameter and attribute."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.contract.artifacts import OBSERVABILITY


def body(*, central: bool = True) -> dict[str, Any]:
    """The body of the dashboard with or without a central bus."""
    text, values = OBSERVABILITY["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    condition, with_bus, without = values["CentralAlarm"]["Fn::If"]
    assert condition == "CentralBusIsSet"
    text = text.replace("${CentralAlarm}", with_bus["Fn::Sub"] if central else without)
    text = text.replace("${Alarms}", values["Alarms"]["Fn::Sub"])
    found: dict[str, Any] = json.loads(re.sub(r"\$\{([^}]+)\}", r"<\1>", text))
    return found


def widgets(kind: str) -> list[dict[str, Any]]:
    """The properties of the widgets of a type."""
    return [widget["properties"] for widget in body()["widgets"] if widget["type"] == kind]


def metrics() -> list[list[Any]]:
    """Namespace, name, dimension and value of each metric, without expressions."""
    return [metric[:4] for widget in widgets("metric") for metric in widget["metrics"] if isinstance(metric[0], str)]


def dashboard_metrics() -> set[tuple[str, str]]:
    """Name and value of the dimension `service` of each metric of Latchkey."""
    return {(name, value) for namespace, name, _, value in metrics() if namespace == "Latchkey"}
