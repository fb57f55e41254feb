"""Tests share a deployed stack: a reset returns the account to the state of the deployment."""

import json

from local_aws.tools.embedded_aws import until
from tests.workflow.account_state import TRUST, read_state
from tests.workflow.conftest import Account
from tests.workflow.consumer_resources import CONSUMERS
from tests.workflow.onboarding import MANAGER, Onboarding


def test_reset_restores_everything_that_tests_create_or_change(account: Account, onboarding: Onboarding) -> None:
    _change_everything(account, onboarding)
    changed = read_state(account.aws)
    assert [part for part, fresh in account.fresh.items() if changed[part] == fresh] == []

    account.reset()

    assert read_state(account.aws) == account.fresh


def test_requests_succeed_after_a_reset(account: Account, onboarding: Onboarding) -> None:
    detail = onboarding.detail()
    onboarding.onboard(detail)

    account.reset()

    # Another id: the outcome of the first request has been read already.
    assert onboarding.onboard(detail | {"requestId": "after-the-reset"})["status"] == "active"
    assert len(onboarding.executions("Onboard")) == 1


def test_reset_aborts_running_executions(account: Account, onboarding: Onboarding) -> None:
    account.aws.control("POST", "faults", {"caller": "CreateKey", "error": "ThrottlingException", "times": 1000})
    onboarding.put(onboarding.detail())
    until(lambda: account.aws.control("GET", "faults"), "the first throttled call")

    account.reset()

    assert onboarding.executions("Onboard") == []
    assert read_state(account.aws)["keys"] == account.fresh["keys"]


def _change_everything(account: Account, onboarding: Onboarding) -> None:
    aws = account.aws
    onboarding.onboard(onboarding.detail())
    for kind in ("mediapackage", "mediapackage-vod", "mediapackagev2", "mediaconnect-output"):
        onboarding.onboard(CONSUMERS[kind](aws).detail)
    onboarding.mediatailor.create_vod_source(
        SourceLocationName=onboarding.location_names()[0],
        VodSourceName="film",
        HttpPackageConfigurations=[{"Path": "/film/index.m3u8", "SourceGroup": "hls", "Type": "HLS"}],
    )
    aws.client("iam").update_assume_role_policy(RoleName=MANAGER.rpartition("/")[2], PolicyDocument=TRUST)
    aws.client("events").put_rule(Name="another", EventBusName="default", EventPattern=json.dumps({"source": ["another"]}))
    aws.client("sqs").send_message(QueueUrl=aws.client("sqs").list_queues()["QueueUrls"][0], MessageBody="another")
    aws.control("PUT", "assumptions", {"missingStatus": 400})
    aws.control("POST", "faults", {"service": "kms", "operation": "ListKeys", "error": "ThrottlingException"})
    aws.client("kms").list_keys()
