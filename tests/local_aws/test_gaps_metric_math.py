"""CloudWatch on the embedded AWS: a stack can have alarms on metric math."""

from typing import Any

import pytest

from local_aws.tools.embedded_aws import Embedded
from tests.local_aws.gap_account import Account

FAILED = {
    "Namespace": "AWS/States",
    "MetricName": "ExecutionsFailed",
    "Dimensions": [{"Name": "StateMachineArn", "Value": "arn"}],
}


@pytest.fixture
def account(local: Embedded) -> Account:
    return Account(local)


def alarm(name: str, **properties: Any) -> dict[str, Any]:
    compared = {"EvaluationPeriods": 5, "Threshold": 1, "ComparisonOperator": "GreaterThanOrEqualToThreshold"}
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": {"AlarmName": name} | compared | properties}


def described(account: Account, name: str) -> dict[str, Any]:
    [found] = account.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    shown: dict[str, Any] = found
    return shown


def test_an_alarm_on_metric_math_deploys_and_is_described_without_a_metric_of_its_own(account: Account) -> None:
    name = account.unique("alarm")
    summed = {"Id": "sum", "Expression": "SUM(METRICS())"}
    failed = {"Id": "failed", "ReturnData": False, "MetricStat": {"Metric": FAILED, "Period": 60, "Stat": "Sum"}}

    account.deploy({"Alarm": alarm(name, Metrics=[summed, failed])})

    found = described(account, name)
    assert found["Metrics"] == [summed | {"ReturnData": True}, failed]
    assert {"MetricName", "Namespace", "Period", "Statistic"} & set(found) == set()


def test_an_alarm_on_one_metric_is_described_with_it(account: Account) -> None:
    name = account.unique("alarm")

    account.deploy({"Alarm": alarm(name, Statistic="Sum", Period=60, **FAILED)})

    found = described(account, name)
    assert (found["MetricName"], found.get("Metrics", [])) == ("ExecutionsFailed", [])
