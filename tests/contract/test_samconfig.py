"""samconfig.toml: every environment is complete, its parameters fit the template, and it contains no account id."""

import re
import tomllib
from typing import Any

import pytest

from tests.contract.artifacts import ROOT, TEMPLATE
from tests.contract.sample_requests import ONBOARDINGS

TEXT = (ROOT / "samconfig.toml").read_text()
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    name: table for name, table in tomllib.loads(TEXT).items() if isinstance(table, dict)
}
LOCAL_ACCOUNT = "000000000000"
environments = pytest.mark.parametrize("name", ENVIRONMENTS)


def overrides(name: str) -> dict[str, str]:
    """The parameters that an environment sets. SAM accepts a string or a list of strings."""
    given = ENVIRONMENTS[name]["deploy"]["parameters"].get("parameter_overrides", [])
    return dict(pair.split("=", 1) for pair in ([given] if isinstance(given, str) else given))


def test_the_file_defines_four_environments() -> None:
    assert set(ENVIRONMENTS) == {"default", "local", "dev", "prod"}


@environments
def test_an_environment_sets_everything_since_environments_do_not_inherit(name: str) -> None:
    commands = {command: table["parameters"] for command, table in ENVIRONMENTS[name].items()}

    assert {"global", "build", "deploy"} <= set(commands)
    assert commands["global"]["stack_name"].startswith("latchkey")
    assert {"cached", "parallel"} <= set(commands["build"])
    assert {"capabilities", "confirm_changeset", "fail_on_empty_changeset"} <= set(commands["deploy"])
    assert len({"resolve_s3", "s3_bucket"} & set(commands["deploy"])) == 1


@environments
def test_overrides_name_parameters_of_the_template_and_match_their_patterns(name: str) -> None:
    for parameter, value in overrides(name).items():
        assert re.fullmatch(TEMPLATE["Parameters"][parameter].get("AllowedPattern", r"\d+"), value), parameter


def test_the_only_account_ids_are_those_of_the_embedded_aws_and_of_the_sample_partners() -> None:
    [statements] = [
        detail["resource"]["partnerStatements"] for detail in ONBOARDINGS.values() if "partnerStatements" in detail["resource"]
    ]
    partners = {statement["Condition"]["StringEquals"]["aws:PrincipalAccount"] for statement in statements}

    assert set(overrides("local")["AllowedPartnerAccounts"].split(",")) == partners
    assert set(re.findall(r"\b\d{12}\b", TEXT)) == {LOCAL_ACCOUNT} | partners


@pytest.mark.parametrize(
    "parameter",
    ["AcceptedGrantees", "AllowHttpOrigins", "AllowedOriginHosts", "AllowedPartnerAccounts", "TrustedPrincipalPatterns"],
)
def test_only_the_local_environment_widens_what_requests_can_choose(parameter: str) -> None:
    assert [name for name in ENVIRONMENTS if parameter in overrides(name)] == ["local"]


def test_data_is_protected_except_in_the_environments_for_development() -> None:
    protected = {
        name: overrides(name).get("ProtectData", TEMPLATE["Parameters"]["ProtectData"]["Default"]) for name in ENVIRONMENTS
    }

    assert protected == {"default": "true", "prod": "true", "dev": "false", "local": "false"}


def test_a_deployment_to_production_asks_for_confirmation() -> None:
    assert ENVIRONMENTS["prod"]["deploy"]["parameters"]["confirm_changeset"] is True
