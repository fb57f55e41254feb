"""CloudWatch: alarms on metric math in a CloudFormation template."""

from typing import Any

from ministack.services.cloudformation import provisioners

from local_aws.emulator.gaps.patching import Around, wrap

# The members of an alarm on one metric, which an alarm on metric math does not have.
_OF_ONE_METRIC = ("Dimensions", "ExtendedStatistic", "MetricName", "Namespace", "Period", "Statistic", "Unit")


def apply() -> None:
    wrap(provisioners, "_cw_metric_alarm_record", _record)


def _record(original: Around, name: str, props: dict[str, Any]) -> dict[str, Any]:
    """ministack 1.5.33: an alarm with `Metrics` fails its stack.

    The alarm is stored and described as CloudWatch describes it. Its state changes only by SetAlarmState, because MiniStack
    evaluates no metric math.
    """
    if not props.get("Metrics"):
        return dict(original(name, props))
    one_metric = {key: value for key, value in props.items() if key != "Metrics"} | {"MetricName": "-", "Namespace": "-"}
    alarm = {key: value for key, value in original(name, one_metric).items() if key not in _OF_ONE_METRIC}
    return alarm | {"Metrics": [_query(query) for query in props["Metrics"]]}


def _query(query: dict[str, Any]) -> dict[str, Any]:
    """Returns a metric query with its default, and with numbers where a template may have strings."""
    shown = {"ReturnData": True} | query
    if "MetricStat" in query:
        shown["MetricStat"] = query["MetricStat"] | {"Period": int(query["MetricStat"]["Period"])}
    return shown | {"ReturnData": shown["ReturnData"] in (True, "true")}
