"""KMS grants of a recorded access: the resource a grant was created for, and whether a grant serves it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from latchkey.aws.grants import Grant
from latchkey.place import Place
from latchkey.policies import without_suffix
from latchkey.systems import SYSTEMS
from latchkey.systems.readers import ServicePrincipal
from latchkey.systems.system import GrantedConfiguration, System


@dataclass(frozen=True)
class GrantedResource:
    """The resource of an access, known by the access id alone: also of one that was never recorded."""

    system: System
    name: str
    owner: Owner
    reader: ServicePrincipal
    configuration: GrantedConfiguration


def granted_resource(access_id: str, place: Place) -> GrantedResource:
    """Raises KeyError if the id, `<system>/<kind>/<name>`, is of no system whose service makes grants."""
    system_name, _, name = access_id.split("/", 2)
    system = SYSTEMS[system_name]
    if system.granted is None:
        raise KeyError(f"{system_name} makes no grants")
    reader, configuration = system.granted
    owner = Owner(reader.grant_name(place, name), configuration.arn_of(name, place))
    return GrantedResource(system, name, owner, reader, configuration)


def serves(grant: Grant, name: str, secret_arn: str, resource_arn: str) -> bool:
    """Is it the grant by which the resource reads this secret? The name must be equal, since `a` is a prefix of `a-b`.

    A person may make a grant that differs in its grantee alone, and so may the service in another Region.
    """
    is_a_service = grant.grantee is None or is_service_grant(grant)
    is_here = grantee_region(grant) in (None, resource_arn.split(":")[3])
    return is_a_service and is_here and resembles(grant, name, secret_arn, resource_arn)


def resembles(grant: Grant, name: str, secret_arn: str, resource_arn: str) -> bool:
    """Is it such a grant but for its grantee? Then nobody can tell whether the resource reads by it."""
    bound = grant.secret_arn == secret_arn or grant.source_arn == resource_arn
    return grant.name == name and bound and "Decrypt" in grant.operations


def is_service_grant(grant: Grant) -> bool:
    return grant.grantee is not None and grant.grantee.endswith(".amazonaws.com")


def grantee_region(grant: Grant) -> str | None:
    """The Region in the name of the service to which a grant is given, if its name holds one."""
    regional = _REGIONAL.fullmatch(grant.grantee or "")
    return regional[1] if regional else None


_REGIONAL = re.compile(r"[^.]+\.([^.]+)\.amazonaws\.com")


@dataclass(frozen=True)
class Owner:
    """The resource for which a service makes its grant, and the name it gives that grant."""

    grant_name: str
    resource_arn: str


def names_secret(named: str | None, arn: str) -> bool:
    """Does a source location that names this name the secret of an ARN? It may leave out the suffix."""
    return named in (arn, without_suffix(arn))


def is_another_secret(bound: str | None, named: str) -> bool:
    """Is the ARN that a source location names that of another secret than a grant's?"""
    return bound is not None and ":secret:" in named and not names_secret(named, bound)
