"""attach_policies on a shared key and secret: the statements of other accesses are merged too, if they still apply."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from latchkey.aws import clients, parameters
from tests.functions.account import ACCOUNT, ADOPT, Account
from tests.functions.onboarding_requests import SECRET_KEY, Run, check_event, existing, rejection
from tests.functions.onboarding_steps import Onboarding, key_statements, secret_statements

VALUE = json.dumps({SECRET_KEY: "a" * 20})
STRANGER = "arn:aws:iam::999999999999:role/media/Stranger"
NEWS = {"sourceLocation": "news-origin"}


class Shared:
    """An adopted key and secret with the access of `news-origin`."""

    def __init__(self, run: Run, account: Account) -> None:
        self.run, self.account = run, account
        self.readers = [account.role(name, "/media/") for name in ("One", "Other", "Third")]
        self.key = account.key(tags=ADOPT)
        self.secret = account.secret("origin/token", VALUE, ADOPT, key=self.key)
        self.news().run_through("record_access")

    def news(self, **members: Any) -> Onboarding:
        """A request of `news-origin` for the key and the secret."""
        members = {"requestId": "news-1", "key": {"arn": self.key}, "secret": existing(self.secret)} | members
        return Onboarding(self.run, self.account, resource=NEWS, **members)

    def attach_sports(self) -> str:
        """Attaches another access with a reader of its own, and returns the text of both policies."""
        sports = existing(self.secret, originReaders=[self.readers[0]])
        Onboarding(self.run, self.account, requestId="sports-1", key={"arn": self.key}, secret=sports).run_through(
            "attach_policies"
        )
        said = json.dumps([key_statements(self.account, self.key), secret_statements(self.account, self.secret)])
        assert self.readers[0] in said
        return said


@pytest.fixture
def shared(run: Run, account: Account, stack: Callable[..., None]) -> Shared:
    stack(ALLOWED_ORIGIN_HOSTS="*")
    return Shared(run, account)


def test_statements_of_a_rejected_request_are_not_merged(run: Run, shared: Shared) -> None:
    refused = shared.news(requestId="news-2", secret=existing(shared.secret, originReaders=[STRANGER], moveKey=True))
    event = check_event(refused.request, contentHash="d" * 64, executionArn=refused.execution)

    assert [*rejection(run, "check_request", event)] == ["secret.originReaders.0"]

    assert STRANGER not in shared.attach_sports()


def test_statements_for_another_key_are_not_merged(shared: Shared) -> None:
    alias, administrator = "alias/latchkey/news", shared.readers[1]
    asked = {"alias": alias, "administrators": [administrator], "allowDeletion": True}
    shared.news(requestId="news-2", key=asked, secret=existing(shared.secret, moveKey=True)).run_through("record_access")
    shared.account.secretsmanager.update_secret(SecretId=shared.secret, KmsKeyId=shared.key)

    assert administrator not in shared.attach_sports()


@pytest.mark.parametrize("until", ["check_request", "attach_policies", "record_access"])
def test_statements_for_another_secret_are_not_merged(shared: Shared, until: str) -> None:
    reader = shared.readers[1]
    another = shared.account.secret("another/token", VALUE, ADOPT, key=shared.key)
    shared.news(requestId="news-2", secret=existing(another, originReaders=[reader], replacesToken=True)).run_through(until)

    shared.attach_sports()

    assert reader not in json.dumps(secret_statements(shared.account, shared.secret))


def test_principals_that_are_no_longer_trusted_are_not_added_back(shared: Shared, stack: Callable[..., None]) -> None:
    reader = shared.readers[1]
    shared.news(requestId="news-2", secret=existing(shared.secret, originReaders=[reader])).run_through("record_access")
    shared.account.secretsmanager.delete_resource_policy(SecretId=shared.secret)
    stack(ALLOWED_ORIGIN_HOSTS="*", TRUSTED_PRINCIPAL_PATTERNS=f"arn:aws:iam::{ACCOUNT}:role/media/One")

    shared.attach_sports()

    assert reader not in json.dumps(secret_statements(shared.account, shared.secret))


@pytest.mark.parametrize(
    "document",
    [
        {"trustedPrincipals": [f"arn:aws:iam::{ACCOUNT}:role/media/One"]},
        {"resources": ["mediatailor/sourceLocation/sports-*"]},
    ],
    ids=["trustedPrincipals", "resources"],
)
def test_statements_that_the_tenant_no_longer_allows_are_not_added_back(shared: Shared, document: dict[str, Any]) -> None:
    reader = shared.readers[1]
    shared.news(requestId="news-2", secret=existing(shared.secret, originReaders=[reader])).run_through("record_access")
    shared.account.secretsmanager.delete_resource_policy(SecretId=shared.secret)
    parameters.parameters.cache_clear()
    clients.ssm().put_parameter(Name="/latchkey/tenants/default", Type="String", Value=json.dumps(document))

    shared.attach_sports()

    assert reader not in json.dumps(secret_statements(shared.account, shared.secret))
