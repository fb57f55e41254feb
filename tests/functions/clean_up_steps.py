"""A recorded access with the grant of its service, and the two surveys of its clean-up."""

from collections.abc import Callable
from typing import Any

from tests.functions.account import ACCOUNT, Account
from tests.functions.onboarding_requests import HEADER, NAME, SECRET_KEY, Run
from tests.functions.onboarding_steps import Onboarding

ACCESS = f"mediatailor/sourceLocation/{NAME}"
GRANT = f"MediaTailor-SourceLocation-{ACCOUNT}-{NAME}"

type SurveyRun = Callable[..., dict[str, Any]]
type CleanUpRun = Callable[[dict[str, Any]], dict[str, Any]]


def onboarded(run: Run, account: Account, **members: Any) -> Onboarding:
    """An onboarded access with the grant that MediaTailor creates; it creates another one at every update."""
    access = Onboarding(run, account, **members).run_through("record_access")
    name = f"MediaTailor-SourceLocation-{ACCOUNT}-{access.request['resource']['sourceLocation']}"
    account.mediatailor.at_update = lambda: account.grant(access.key, name, access.secret)
    account.mediatailor.at_update()
    return access


def first_survey(run: Run, *keys: str) -> dict[str, Any]:
    return run("clean_up_grants", {"accessId": ACCESS, "keys": [*keys]})


def second_survey(run: Run, first: dict[str, Any]) -> dict[str, Any]:
    return run("clean_up_grants", {"accessId": ACCESS, "first": first})


def delete_location(account: Account) -> None:
    del account.mediatailor.locations[NAME]


def restore_location(account: Account, access: Onboarding) -> None:
    """Creates the source location again with the same settings."""
    account.mediatailor.add(NAME, token_configuration(access.secret))


def grants(account: Account, key: str) -> list[str]:
    """The ids of a key's grants."""
    return [grant["GrantId"] for grant in account.kms.list_grants(KeyId=key)["Grants"]]


def token_configuration(secret: str) -> dict[str, Any]:
    """The access configuration of a source location that sends the token of a secret."""
    token = {"HeaderName": HEADER, "SecretArn": secret, "SecretStringKey": SECRET_KEY}
    return {"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": token}


def put_count(account: Account) -> int:
    """How often the source locations were updated."""
    return [method for method, _ in account.mediatailor.writes].count("PUT")
