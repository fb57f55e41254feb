"""KMS grants of a recorded access: the resource a grant was created for, and whether a grant serves it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from latchkey.aws.grants import Grant
from latchkey.place import Place
from latchkey.policies import without_suffix
from latchkey.systems import SYSTEMS
from latchkey.systems.readers import ServicePrincipal
from latchkey.systems.system import GrantedConfiguration, System

_REGIONAL_SERVICE = re.compile(r"[^.]+\.([^.]+)\.amazonaws\.com")


@dataclass(frozen=True)
class ExpectedGrant:
    """The grant through which a resource reads a secret: the name that the service gives it, and what it is constrained to.

    `grantees` are the principals that count as the service in addition to AWS service principals.
    """

    name: str
    secret_arn: str
    resource_arn: str
    grantees: tuple[str, ...] = ()


@dataclass(frozen=True)
class GrantedResource:
    """The resource for which a service creates a KMS grant, and the name that the service gives the grant.

    `grantees` are the principals that count as the service in addition to AWS service principals.
    """

    system: System
    name: str
    grant_name: str
    resource_arn: str
    reader: ServicePrincipal
    configuration: GrantedConfiguration
    grantees: tuple[str, ...] = ()

    def grant_for(self, secret_arn: str) -> ExpectedGrant:
        """The grant through which the resource reads this secret."""
        return ExpectedGrant(self.grant_name, secret_arn, self.resource_arn, self.grantees)


def granted_resource(access_id: str, place: Place, grantees: tuple[str, ...] = ()) -> GrantedResource:
    """The resource of an access id (`<system>/<kind>/<name>`), whether or not the access is recorded.

    Raises KeyError if the system is unknown or its service creates no grants.
    """
    system_name, _, name = access_id.split("/", 2)
    system = SYSTEMS[system_name]
    if system.granted is None:
        raise KeyError(f"{system_name} creates no grants")
    reader, configuration = system.granted
    return GrantedResource(
        system, name, reader.grant_name(place, name), configuration.arn_of(name, place), reader, configuration, grantees
    )


def serves(grant: Grant, expected: ExpectedGrant) -> bool:
    """Whether the resource reads its secret through this grant.

    Names are compared for equality, since `a` is a prefix of `a-b`. A person can create a grant that differs only in its
    grantee, and so can the service in another Region: neither serves the resource.
    """
    is_a_service = grant.grantee is None or is_service_grant(grant, expected.grantees)
    is_here = grantee_region(grant) in (None, expected.resource_arn.split(":")[3])
    return is_a_service and is_here and resembles(grant, expected)


def resembles(grant: Grant, expected: ExpectedGrant) -> bool:
    """Whether the grant has the name, constraint and operation of the service's grant, whatever its grantee is."""
    is_constrained = grant.secret_arn == expected.secret_arn or grant.source_arn == expected.resource_arn
    return grant.name == expected.name and is_constrained and "Decrypt" in grant.operations


def is_service_grant(grant: Grant, grantees: Collection[str]) -> bool:
    """Whether the grantee is an AWS service, or one of the principals that the stack parameter AcceptedGrantees lists.

    KMS shows a service as a service principal: https://docs.aws.amazon.com/kms/latest/developerguide/grants.html. Which
    principal MediaTailor uses is not documented.
    """
    return grant.grantee is not None and (grant.grantee.endswith(".amazonaws.com") or grant.grantee in grantees)


def grantee_region(grant: Grant) -> str | None:
    """The Region in the grantee's service principal, or None if it contains none."""
    regional = _REGIONAL_SERVICE.fullmatch(grant.grantee or "")
    return regional[1] if regional else None


def names_secret(configured: str | None, secret_arn: str) -> bool:
    """Whether the secret that a resource is configured with is this one. A resource can omit the random suffix."""
    return configured in (secret_arn, without_suffix(secret_arn))


def is_another_secret(constraint: str | None, configured: str) -> bool:
    """Whether the ARN that a resource is configured with is a different secret from the one in a grant's constraint."""
    return constraint is not None and ":secret:" in configured and not names_secret(configured, constraint)
