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
    "SECRET_PREFIX": "latchkey/",
    "ALLOW_HTTP_ORIGINS": "false",
    "TRUSTED_PRINCIPAL_PATTERNS": "",
    "ACCEPTED_GRANTEES": "",
    "ALLOWED_ORIGIN_HOSTS": "",
    "ALLOWED_PARTNER_ACCOUNTS": "",
    "GRACE_SECONDS": "600",
    "CONFIGURE_ROLE": "configure",
    "CREATE_KEY_ROLE": "create",
    "ATTACH_ROLE": "attach",
    "REMOVE_ROLE": "remove",
    "UNDO_ROLE": "undo",
    "ADOPTED_SECRET_PREFIX": "MediaPackage",
    "STACK_NAME": "latchkey",
    "READER_BOUNDARY": "reader",
}

# Variables that the template sets for some functions only.
OWN = (
    "BULK_STATE_MACHINE",
    "DISCOVER_STATE_MACHINE",
    "CLEAN_UP_STATE_MACHINE",
    "CREATE_SECRET_ROLE",
    "OFFBOARD_STATE_MACHINE",
    "ONBOARD_STATE_MACHINE",
    "END_REQUEST_STATE_MACHINE",
    "OWN_ROLES",
    "ROTATE_STATE_MACHINE",
    "PLANNED_ROLES",
    "VALIDATE_ROLE",
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
    assert (found.access_table, found.request_bus, found.secret_prefix) == ("accesses", "latchkey-requests", "latchkey/")
    assert (found.onboard_state_machine_arn, found.clean_up_state_machine_arn, found.own_role_arns) == ("", "", ())
    assert (found.create_secret_role_arn, found.validate_role_arn) == ("", "")


IAM = "arn:aws-cn:iam::111122223333"
MACHINES = "arn:aws-cn:states:cn-north-1:111122223333:stateMachine"
# Each setting with the variable of its name, and the ARN of that name.
ARNS = {
    "configure_role_arn": ("CONFIGURE_ROLE", f"{IAM}:role/"),
    "create_key_role_arn": ("CREATE_KEY_ROLE", f"{IAM}:role/"),
    "attach_role_arn": ("ATTACH_ROLE", f"{IAM}:role/"),
    "remove_role_arn": ("REMOVE_ROLE", f"{IAM}:role/"),
    "undo_role_arn": ("UNDO_ROLE", f"{IAM}:role/"),
    "create_secret_role_arn": ("CREATE_SECRET_ROLE", f"{IAM}:role/"),
    "validate_role_arn": ("VALIDATE_ROLE", f"{IAM}:role/"),
    "reader_boundary_arn": ("READER_BOUNDARY", f"{IAM}:policy/"),
    "onboard_state_machine_arn": ("ONBOARD_STATE_MACHINE", f"{MACHINES}:"),
    "offboard_state_machine_arn": ("OFFBOARD_STATE_MACHINE", f"{MACHINES}:"),
    "reconcile_state_machine_arn": ("RECONCILE_STATE_MACHINE", f"{MACHINES}:"),
    "rotate_state_machine_arn": ("ROTATE_STATE_MACHINE", f"{MACHINES}:"),
    "bulk_state_machine_arn": ("BULK_STATE_MACHINE", f"{MACHINES}:"),
    "discover_state_machine_arn": ("DISCOVER_STATE_MACHINE", f"{MACHINES}:"),
    "clean_up_state_machine_arn": ("CLEAN_UP_STATE_MACHINE", f"{MACHINES}:"),
    "end_request_state_machine_arn": ("END_REQUEST_STATE_MACHINE", f"{MACHINES}:"),
}


@pytest.mark.parametrize("name", ARNS)
def test_a_name_becomes_an_arn_of_the_place(environment: pytest.MonkeyPatch, name: str) -> None:
    variable, prefix = ARNS[name]
    environment.setenv(variable, "latchkey-One")
    assert getattr(settings(), name) == f"{prefix}latchkey-One"


@pytest.mark.parametrize("name", ARNS)
def test_an_empty_name_is_no_arn(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(ARNS[name][0], "")
    assert getattr(settings(), name) == ""


@pytest.mark.parametrize("name", ARNS)
def test_the_arns_in_the_environment_of_an_earlier_version_count(environment: pytest.MonkeyPatch, name: str) -> None:
    variable, prefix = ARNS[name]
    environment.delenv(variable, raising=False)
    environment.setenv(f"{variable}_ARN", f"{prefix}latchkey-One")
    assert getattr(settings(), name) == f"{prefix}latchkey-One"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OWN_ROLES", "attach, undo"), ("OWN_ROLE_ARNS", f"{IAM}:role/attach,{IAM}:role/undo")],
)
def test_our_own_roles_are_named_or_in_the_form_of_an_earlier_version(
    environment: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    environment.setenv(variable, value)
    assert settings().own_role_arns == (f"{IAM}:role/attach", f"{IAM}:role/undo")


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
