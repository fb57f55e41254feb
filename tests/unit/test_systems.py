"""Rules that the record of every system satisfies."""

from __future__ import annotations

import dataclasses
import json
import string
from typing import Any

import boto3
import pytest
from botocore.session import Session

from latchkey.requests.parsing import ONBOARDING
from latchkey.systems import SYSTEMS
from latchkey.systems.readers import ServicePrincipal
from latchkey.systems.system import Configuration, Configured, GrantedConfiguration, Resource, SecretShape, System
from tests.unit.samples import ACCOUNT, KEY_ARN, KINDS, PLACE, SECRET_ARN, desired


@pytest.fixture(params=list(SYSTEMS.values()), ids=list(SYSTEMS))
def system(request: pytest.FixtureRequest) -> System:
    found: System = request.param
    return found


def test_a_system_is_registered_under_its_own_name_and_has_a_request_model(system: System) -> None:
    assert SYSTEMS[system.name] is system
    assert ONBOARDING[system.name].model_fields["resource"].annotation is system.resource


def test_a_system_name_fits_aliases_tags_and_secret_names(system: System) -> None:
    assert set(system.name) <= {*string.ascii_lowercase, *string.digits, "-"}


def test_a_system_lists_its_documents(system: System) -> None:
    assert system.documents
    assert all(document.startswith("https://") for document in system.documents)


def test_a_record_of_facts_cannot_be_changed(system: System) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        system.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        SYSTEMS["other"] = system  # type: ignore[index]


ANYTHING = Configured("arn", {}, None, {}, {}, {})
GRANTED = [system.granted for system in SYSTEMS.values() if system.granted]


@pytest.mark.parametrize("reader", [reader for reader, _ in GRANTED])
def test_a_grant_name_is_valid_for_kms(reader: ServicePrincipal) -> None:
    name = reader.grant_name(PLACE, "a_b-C9")
    assert set(name) <= {*string.ascii_letters, *string.digits, *":/_-"}
    assert len(reader.grant_name(PLACE, "s" * 128)) <= 256
    assert ACCOUNT in name


def test_a_resource_has_a_kind_and_a_strict_model(system: System) -> None:
    assert issubclass(system.resource, Resource)
    assert system.resource.kind.isalpha()
    assert system.resource.model_config["extra"] == "forbid"
    assert system.resource.model_config["strict"]


def test_the_service_of_a_configuration_is_known_to_botocore(system: System) -> None:
    assert system.configuration is None or system.configuration.service in boto3.session.Session().get_available_services()


@pytest.mark.parametrize("configuration", [configuration for _, configuration in GRANTED])
def test_trail_operations_have_a_member_that_names_the_resource(configuration: GrantedConfiguration) -> None:
    model: Any = Session().get_service_model(configuration.service)

    assert configuration.trail_operations
    for operation in configuration.trail_operations:
        assert configuration.named_by in model.operation_model(operation).input_shape.members


@pytest.mark.parametrize(("minimum", "maximum"), [(0, 8), (9, 8), (-1, 8)])
def test_a_shape_requires_valid_bounds(minimum: int, maximum: int) -> None:
    with pytest.raises(ValueError, match="0 < minimum <= maximum"):
        SecretShape(minimum, maximum)


def test_every_system_has_a_sample_request(system: System) -> None:
    assert system.name in {sample["system"] for sample in KINDS.values()}


@pytest.mark.parametrize("kind", KINDS)
def test_an_access_id_consists_of_system_kind_and_name(kind: str) -> None:
    wanted = desired(kind=kind)
    system, resource_kind, name = wanted.access_id.split("/", 2)
    assert (SYSTEMS[system], resource_kind) == (wanted.system, wanted.resource.kind)
    assert name == wanted.resource.name


@pytest.mark.parametrize("kind", KINDS)
def test_only_some_resources_have_an_arn_that_follows_from_the_name(kind: str) -> None:
    known = {"mediatailor", "mediapackagev2"}
    arn = desired(kind=kind).resource.arn(PLACE)
    assert (arn is not None) == (kind in known)
    assert arn is None or arn.startswith(PLACE.arn(kind, ""))


@pytest.mark.parametrize("kind", KINDS)
def test_only_mediatailor_sends_tokens_to_an_origin_and_lets_the_request_name_the_member(kind: str) -> None:
    resource = desired(kind=kind).resource
    expected: tuple[str | None, ...] = (None, None, None)
    if kind == "mediatailor":
        expected = ("https://origin.example.com/vod", "origin.example.com", "resource.secretKey")
    assert (resource.origin_url, resource.origin_host, resource.secret_member_path) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_length_of_a_token_is_allowed(kind: str) -> None:
    shape = desired(kind=kind).secret_shape
    assert shape is None or shape.generated[0] <= shape.usual_length <= shape.generated[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_handoff_has_values_and_steps(kind: str) -> None:
    wanted = desired(kind=kind)
    reading = wanted.reading(KEY_ARN, SECRET_ARN) if wanted.reads_secret else None
    handoff = wanted.system.handoff(wanted.resource, reading, KEY_ARN, PLACE)
    assert handoff.steps
    assert (SECRET_ARN if reading else KEY_ARN) in handoff.values.values()
    assert (handoff.cloud_formation is not None) == (wanted.system.configuration is not None)
    if handoff.cloud_formation:
        [piece] = handoff.cloud_formation.values()
        assert piece["Type"].startswith("AWS::Media")
        assert SECRET_ARN in json.dumps(piece["Properties"])


@pytest.mark.parametrize(
    "system", [system for system in SYSTEMS.values() if system.configuration], ids=lambda system: system.name
)
def test_services_have_no_alerts_and_unsupported_reasons_by_default(system: System) -> None:
    assert system.configuration
    if type(system.configuration).alerts is Configuration.alerts:
        assert system.configuration.alerts(None, "") == ()
    if type(system.configuration).unsupported_reasons is Configuration.unsupported_reasons:
        assert system.configuration.unsupported_reasons(None, ANYTHING) == ()
