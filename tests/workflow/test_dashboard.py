"""The dashboard and the topic of the deployed stack."""

import json

from local_aws.tools.embedded_aws import Embedded


def test_the_dashboard_has_the_name_of_the_stack_and_names_what_is_deployed(aws: Embedded) -> None:
    cloudwatch = aws.client("cloudwatch")

    found = json.loads(cloudwatch.get_dashboard(DashboardName="latchkey")["DashboardBody"])

    pages = cloudwatch.get_paginator("describe_alarms").paginate()
    alarms = {alarm["AlarmArn"] for page in pages for alarm in page["MetricAlarms"]}
    [shown] = [widget["properties"]["alarms"] for widget in found["widgets"] if widget["type"] == "alarm"]
    assert {*shown} == alarms
    assert "${" not in json.dumps(found)


def test_the_alarms_notify_the_topic_that_the_stack_creates(aws: Embedded) -> None:
    [stack] = aws.client("cloudformation").describe_stacks(StackName="latchkey")["Stacks"]
    [topic] = [one["OutputValue"] for one in stack["Outputs"] if one["OutputKey"] == "AlarmTopicArn"]

    pages = aws.client("cloudwatch").get_paginator("describe_alarms").paginate()
    assert {tuple(alarm["AlarmActions"]) for page in pages for alarm in page["MetricAlarms"]} == {(topic,)}
    assert aws.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["TopicArn"] == topic
