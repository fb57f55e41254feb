"""The settings of the functions, from environment variables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from latchkey.place import Place
from latchkey.settings import settings

ENVIRONMENT = {
    "AWS_PARTITION": "aws-cn",
    "ACCOUNT_ID": "111122223333",
    "AWS_REGION": "cn-north-1",
    "ACCESS_TABLE": "accesses",
    "REQUEST_BUS": "requests",
    "SECRET_PREFIX": "latchkey/",
    "ALLOW_HTTP_ORIGINS": "false",
    "TRUSTED_PRINCIPAL_PATTERNS": "",
    "ACCEPTED_GRANTEES": "",
    "ALLOWED_ORIGIN_HOSTS": "",
    "ALLOWED_PARTNER_ACCOUNTS": "",
    "GRACE_SECONDS": "600",
    "CONFIGURE_ROLE_ARN": "arn:aws-cn:iam::111122223333:role/configure",
    "CREATE_KEY_ROLE_ARN": "arn:aws-cn:iam::111122223333:role/create",
    "ATTACH_ROLE_ARN": "arn:aws-cn:iam::111122223333:role/attach",
    "REMOVE_ROLE_ARN": "arn:aws-cn:iam::111122223333:role/remove",
    "UNDO_ROLE_ARN": "arn:aws-cn:iam::111122223333:role/undo",
    "ADOPTED_SECRET_PREFIX": "MediaPackage",
    "STACK_NAME": "latchkey",
    "READER_BOUNDARY_ARN": "arn:aws-cn:iam::111122223333:policy/reader",
}

# Variables that the template sets for some functions only.
OWN = (
    "CLEAN_UP_STATE_MACHINE_ARN",
    "CREATE_SECRET_ROLE_ARN",
    "OFFBOARD_STATE_MACHINE_ARN",
    "ONBOARD_STATE_MACHINE_ARN",
    "OWN_ROLE_ARNS",
    "ROTATE_STATE_MACHINE_ARN",
    "PLANNED_ROLES",
    "VALIDATE_ROLE_ARN",
)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for name in OWN:
        monkeypatch.delenv(name, raising=False)
    settings.cache_clear()
    yield monkeypatch
    settings.cache_clear()


def test_the_environment_becomes_typed_settings(environment: pytest.MonkeyPatch) -> None:
    found = settings()
    assert found.place == Place(partition="aws-cn", account="111122223333", region="cn-north-1")
    assert (found.access_table, found.request_bus, found.secret_prefix) == ("accesses", "requests", "latchkey/")
    assert (found.onboard_state_machine_arn, found.clean_up_state_machine_arn, found.own_role_arns) == ("", "", ())
    assert (found.create_secret_role_arn, found.validate_role_arn) == ("", "")


def test_empty_lists_allow_nothing(environment: pytest.MonkeyPatch) -> None:
    found = settings()
    assert found.trusted_principal_patterns == found.allowed_origin_hosts == found.allowed_partner_accounts == ()


def test_spaces_around_list_items_are_ignored(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ALLOWED_ORIGIN_HOSTS", " origin.example.com, *.example.org ,,")
    assert settings().allowed_origin_hosts == ("origin.example.com", "*.example.org")


@pytest.mark.parametrize(("value", "allowed"), [("true", True), ("false", False), ("", False), ("True", False), ("1", False)])
def test_only_the_word_true_allows_http(environment: pytest.MonkeyPatch, value: str, allowed: bool) -> None:
    environment.setenv("ALLOW_HTTP_ORIGINS", value)
    assert settings().allow_http_origins is allowed


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_missing_variable_is_in_the_error(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.delenv(name)
    with pytest.raises((KeyError, ValidationError), match=name):
        settings()


def test_arns_of_global_services_have_no_region() -> None:
    place = Place(partition="aws", account="111122223333", region="eu-west-1")
    assert place.arn("kms", "key/a") == "arn:aws:kms:eu-west-1:111122223333:key/a"
    assert place.arn("iam", "root", region="") == "arn:aws:iam::111122223333:root"
