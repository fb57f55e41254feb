"""The quotas that pace bulk requests are those of the parameter and of the document."""

import re

from latchkey.aws.rates import COMMON
from latchkey.systems import SYSTEMS
from tests.contract.artifacts import ROOT, TEMPLATE, service_model

QUOTAS = [*COMMON, *(quota for system in SYSTEMS.values() if system.configuration for quota in system.configuration.quotas)]


def test_every_quota_can_be_raised_by_the_parameter() -> None:
    pattern = TEMPLATE["Parameters"]["RaisedQuotas"]["AllowedPattern"]

    assert all(re.search(pattern, f"{quota.name}=5") for quota in QUOTAS)
    assert re.search(pattern, ",".join(f"{quota.name}=25" for quota in QUOTAS))
    assert re.search(pattern, "")
    assert not any(re.search(pattern, wrong) for wrong in ("other=5", "mediatailor-create", "mediatailor-create=0", "kms=1,"))


def test_the_document_lists_every_quota() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (\d+) \| (\d+) \|$", (ROOT / "docs/bulk.md").read_text(), re.MULTILINE)

    assert {(name, int(rate), int(calls)) for name, rate, calls in rows} == {
        (quota.name, quota.per_second, quota.calls) for quota in QUOTAS
    }


def test_every_operation_of_a_quota_exists() -> None:
    for quota in QUOTAS:
        assert quota.operations <= set(service_model(quota.service).operation_names)


def test_every_system_with_an_api_has_a_quota() -> None:
    assert all(system.configuration.quotas for system in SYSTEMS.values() if system.configuration)
