"""How a system reads a secret: as a service principal; the other two readers arrive with their systems."""

from __future__ import annotations

from dataclasses import dataclass

from latchkey.settings import Place


@dataclass(frozen=True)
class ServicePrincipal:
    """A service that reads in its own name, admitted by the secret's resource policy and a KMS grant it makes itself.

    The grant is made with the permissions of whoever configures the resource (forward access session), so the key policy
    admits `kms:CreateGrant` only through the service. https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-overview.html
    """

    service: str
    grant_name_pattern: str

    def via_service(self, place: Place) -> str:
        """The value of `kms:ViaService`: `.amazonaws.com` in every partition.

        https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
        """
        return f"{self.service}.{place.region}.amazonaws.com"

    @property
    def principal(self) -> str:
        return f"{self.service}.amazonaws.com"

    def grant_name(self, place: Place, resource_name: str) -> str:
        """The name the service gives its grant; a label, not an identifier."""
        return self.grant_name_pattern.format(account=place.account, name=resource_name)

    def resource_of(self, place: Place, grant_name: str | None) -> str | None:
        """The name of the resource for which the service would give its grant this name, or None."""
        beginning, _, end = self.grant_name(place, "\0").partition("\0")
        if grant_name is None or not grant_name.startswith(beginning) or not grant_name.endswith(end):
            return None
        return grant_name[len(beginning) : len(grant_name) - len(end)] or None


Reader = ServicePrincipal
