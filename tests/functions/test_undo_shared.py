"""undo_onboarding with statements that this registry does not know, from another stack or a former one."""

import json

from tests.functions.account import TABLE, Account
from tests.functions.onboarding_requests import Run
from tests.functions.onboarding_steps import Onboarding, key_statements, secret_statements


def forget(account: Account) -> None:
    """Empties the registry, as the registry of another stack does not know the accesses of this one."""
    for item in account.table():
        account.dynamodb.delete_item(TableName=TABLE, Key={name: item[name] for name in ("kind", "id")})


def test_a_rollback_removes_only_what_its_request_added(run: Run, account: Account) -> None:
    origin, other = (account.role(name, "/media/") for name in ("One", "Other"))
    first = Onboarding(run, account, secret={"originReaders": [origin]}).run_through("record_access")
    before = key_statements(account, first.key), secret_statements(account, first.secret)
    forget(account)
    # The key is unknown to the registry, so its owner has to consent.
    account.kms.tag_resource(KeyId=first.key, Tags=[{"TagKey": "latchkey:consent", "TagValue": "adopt"}])

    news = {"requestId": "news-1", "resource": {"sourceLocation": "news-origin"}, "secret": {"originReaders": [other]}}
    failed = Onboarding(run, account, **news).run_through("attach_policies")
    assert failed.key == first.key
    assert other in json.dumps(key_statements(account, first.key))
    failed.undo()

    left = key_statements(account, first.key), secret_statements(account, first.secret)
    assert (other in json.dumps(left), failed.secret[:-6] in json.dumps(left)) == (False, False)
    assert origin in json.dumps(left[0])
    assert ":secret:latchkey/*" in json.dumps(left[0])
    assert left[1] == before[1]
