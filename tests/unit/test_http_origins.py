"""A token goes over plain HTTP only where the stack allows it, however the scheme is written."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber

from latchkey.aws.clients import secretsmanager
from latchkey.errors import Problem
from latchkey.onboarding.rules.request_rules import RequestRules
from latchkey.registry import Registry
from tests.unit.samples import SETTINGS, desired


@pytest.mark.parametrize("scheme", ["http", "HTTP", "Http"])
@pytest.mark.parametrize("allowed", [True, False])
def test_plain_http_is_refused_unless_the_stack_allows_it(registry: Registry, scheme: str, allowed: bool) -> None:
    mediatailor = boto3.client("mediatailor")
    settings = SETTINGS.model_copy(update={"allow_http_origins": allowed})
    look = RequestRules(settings, registry, boto3.client("kms"), secretsmanager, boto3.client("iam"), lambda _: mediatailor)
    with Stubber(mediatailor) as stubber:
        stubber.add_client_error("describe_source_location", "NotFound", http_status_code=404)
        problems = list(look.problems(desired({"resource.baseUrl": f"{scheme}://origin.example.com/vod"})))
    refusal = Problem("resource.baseUrl", "must be https, since the token goes with every manifest request")
    assert problems == ([] if allowed else [refusal])
