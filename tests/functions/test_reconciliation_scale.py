"""The calls of a reconciliation are those of the formula in docs/operate.md. With WHOLE=1, for up to 1,000 accesses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from botocore.model import OperationModel

from latchkey.aws import clients
from tests.functions.account import TABLE, Account
from tests.functions.clean_up_steps import onboarded
from tests.functions.onboarding_requests import Run
from tests.functions.test_inventory import inventory
from tests.functions.test_reconciliation import RUN
from tests.sampling import WHOLE

NAME, KEYS, BATCH = "sports-origin", 3, 10
SIZES = (250, 1000) if WHOLE else (12, 36)


@pytest.fixture(autouse=True)
def bus(account: Account, stack: Callable[..., None]) -> None:
    account.open_bus()
    stack(ALLOWED_ORIGIN_HOSTS="*")
    clients.s3().create_bucket(Bucket="latchkey-data")


class Fleet:
    """Copies of one onboarded access, each with a secret, a source location and a grant of its own, on several keys."""

    def __init__(self, run: Run, account: Account) -> None:
        self._account, self._first = account, onboarded(run, account)
        self._item = json.dumps(account.items("access")[0])
        self._refs = json.dumps([item for item in account.items("resource") if "secret" in item["id"]["S"]])
        self._policy = account.secretsmanager.get_resource_policy(SecretId=self._first.secret)["ResourcePolicy"]
        self._keys = [self._first.key, *(self._copied_key(number) for number in range(1, KEYS))]
        self.size = 1

    def _copied_key(self, number: int) -> str:
        account, first = self._account, self._first.key
        tags = account.kms.list_resource_tags(KeyId=first)["Tags"]
        arn: str = account.kms.create_key(Tags=tags)["KeyMetadata"]["Arn"]
        account.kms.enable_key_rotation(KeyId=arn)
        account.kms.create_alias(AliasName=f"alias/fleet-{number}", TargetKeyId=arn)
        policy = account.kms.get_key_policy(KeyId=first, PolicyName="default")["Policy"]
        account.kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=policy)
        account.note("resource", arn, accesses={"mediatailor/sourceLocation/none"})
        return arn

    def grow(self, size: int) -> None:
        for number in range(self.size, size):
            self._add(f"fleet-{number:05d}", number % KEYS)
        self.size = size

    def _add(self, name: str, number: int) -> None:
        account, first, key = self._account, self._first, self._keys[number]
        tags = account.secretsmanager.describe_secret(SecretId=first.secret)["Tags"]
        own = [{"Key": one["Key"], "Value": one["Value"].replace(NAME, name)} for one in tags]
        named = {"Name": f"latchkey/mediatailor/{name}/token", "KmsKeyId": key, "Tags": own}
        arn = account.secretsmanager.create_secret(SecretString=account.value(first.secret), **named)["ARN"]
        account.secretsmanager.put_resource_policy(SecretId=arn, ResourcePolicy=self._policy.replace(first.secret, arn))
        account.grant(key, f"MediaTailor-SourceLocation-{account.mediatailor.account}-{name}", arn)
        location = json.dumps(account.mediatailor.locations[NAME]).replace(first.secret, arn).replace(NAME, name)
        account.mediatailor.locations[name] = json.loads(location)
        text = self._item.replace(first.secret, arn).replace(NAME, name).replace(first.key, key)
        if number:
            item = json.loads(text)
            wanted = json.loads(item["wanted"]["S"])
            wanted["key"] = {**wanted.get("key", {}), "alias": f"alias/fleet-{number}"}
            item["wanted"]["S"] = json.dumps(wanted)
            text = json.dumps(item)
        for item in (json.loads(text), *json.loads(self._refs.replace(NAME, name))):
            account.dynamodb.put_item(TableName=TABLE, Item=item)


@pytest.fixture
def calls() -> Counter[str]:
    """The calls to AWS, except those to the registry and the data bucket."""
    counts: Counter[str] = Counter()

    def note(model: OperationModel, **_: Any) -> None:
        counts[model.name] += 1

    for service in ("kms", "secretsmanager", "iam", "mediatailor"):
        clients.client_for(service).meta.events.register_first("before-parameter-build", note)
    return counts


def formula(accesses: int, keys: int) -> dict[str, int]:
    """The calls that docs/operate.md gives, as far as their number does not depend on the length of pages."""
    of_key = ("DescribeKey", "GetKeyPolicy", "GetKeyRotationStatus", "ListGrants", "ListResourceTags")
    of_access = ("GetResourcePolicy", "ListAlerts", "ListResourcePolicies", "ListSecretVersionIds")
    return dict.fromkeys(of_key, keys) | dict.fromkeys(of_access, accesses) | {"ListAliases": 1, "ListKeys": 1, "ListRoles": 1}


# Their pages have another length in these models than in AWS.
_PAGED = {"ListSecrets", "ListSourceLocations"}


def test_a_healthy_access_costs_four_calls_and_its_key_five_for_all_accesses(
    run: Run, account: Account, calls: Counter[str]
) -> None:
    fleet = Fleet(run, account)
    for size in SIZES:
        fleet.grow(size)
        calls.clear()
        lines = inventory(run)
        for at in range(0, size, BATCH):
            batch = lines[at : at + BATCH]
            assert run("reconcile_access", {"items": batch, "executionArn": RUN}) == {"published": [], "unread": []}

        assert len(lines) == size
        assert {name: count for name, count in calls.items() if name not in _PAGED} == formula(size, KEYS)
