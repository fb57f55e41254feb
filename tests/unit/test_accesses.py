"""An access ID identifies the system, the resource, and the grant of its service."""

from __future__ import annotations

import pytest

from latchkey.access.grants import granted_resource
from latchkey.access.record import AccessRecord, access_id_of, has_grants, is_exclusive
from latchkey.systems import SYSTEMS
from tests.unit.samples import ACCOUNT, PLACE

GRANT_NAME = f"MediaTailor-SourceLocation-{ACCOUNT}-sports"


def test_an_access_id_identifies_the_resource_and_its_grant_name() -> None:
    subject = granted_resource("mediatailor/sourceLocation/sports", PLACE)

    assert (subject.system, subject.name) == (SYSTEMS["mediatailor"], "sports")
    assert subject.grant_name == GRANT_NAME
    assert subject.resource_arn == PLACE.arn("mediatailor", "sourceLocation/sports")
    assert access_id_of(subject.system, subject.name) == "mediatailor/sourceLocation/sports"


def test_an_access_id_of_an_unknown_system_raises_an_error() -> None:
    with pytest.raises(KeyError, match="mediatailer"):
        granted_resource("mediatailer/sourceLocation/sports", PLACE)


@pytest.mark.parametrize(
    ("grant_name", "resource"),
    [
        (GRANT_NAME, "sports"),
        (f"{GRANT_NAME}-2", "sports-2"),
        (GRANT_NAME.replace(ACCOUNT, "444455556666"), None),
        (f"MediaTailor-SourceLocation-{ACCOUNT}-", None),
        (f"x{GRANT_NAME}", None),
        ("backup", None),
        (None, None),
    ],
)
def test_a_grant_name_identifies_the_resource(grant_name: str | None, resource: str | None) -> None:
    granted = SYSTEMS["mediatailor"].granted
    assert granted
    assert granted[0].resource_of(PLACE, grant_name) == resource


WITHOUT_GRANTS = [name for name, system in SYSTEMS.items() if not system.granted]


def test_only_some_systems_create_grants() -> None:
    assert has_grants("mediatailor/sourceLocation/sports")
    assert not any(has_grants(f"{name}/kind/sports") for name in WITHOUT_GRANTS)
    with pytest.raises(KeyError, match="mediatailer"):
        has_grants("mediatailer/sourceLocation/sports")


@pytest.mark.parametrize("system", WITHOUT_GRANTS)
def test_an_access_of_a_system_without_grants_raises_an_error(system: str) -> None:
    with pytest.raises(KeyError, match=system):
        granted_resource(f"{system}/kind/sports", PLACE)


PARTNER = "adobe-experience-platform/instance/eu-west-1"


@pytest.mark.parametrize(
    ("access_ids", "exclusive"),
    [
        ((), False),
        (("mediatailor/sourceLocation/sports", "mediaconnect/flow/1/source/a"), False),
        ((PARTNER,), True),
        (("mediatailor/sourceLocation/sports", PARTNER), True),
        (("of-a-later-version/instance/a",), False),
    ],
)
def test_a_key_is_exclusive_if_any_of_its_accesses_is(access_ids: tuple[str, ...], exclusive: bool) -> None:
    assert is_exclusive(access_ids) is exclusive


@pytest.mark.parametrize(
    ("reached", "status", "in_service"),
    [
        ("active", "active", True),
        ("active", "revoked", True),
        ("active", "detached", True),
        ("active", "gone", False),
        ("handed-off", "handed-off", False),
        ("handed-off", "revoked", False),
    ],
)
def test_an_access_is_in_service_from_its_configuration_to_the_deletion_of_its_resource(
    reached: str, status: str, in_service: bool
) -> None:
    access_id = "mediatailor/sourceLocation/sports"
    record = AccessRecord(access_id, "mediatailor", status, "request-1", "arn:key", None, None, reached)

    assert record.is_in_service is in_service
