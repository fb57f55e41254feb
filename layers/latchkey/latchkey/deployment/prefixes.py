"""Whether other name prefixes of secrets would exclude a secret that an access uses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# The number of secrets that a refusal lists. With names of the greatest length, they fit into the response to CloudFormation.
MOST_LISTED = 3


@dataclass(frozen=True)
class SecretUse:
    """A secret that an access uses.

    `through_role` means that the service reads it through a reader role, `is_created` that Latchkey created it for the access.
    """

    access_id: str
    secret_name: str
    through_role: bool
    is_created: bool


@dataclass(frozen=True)
class Prefixes:
    """The stack parameters SecretPrefix (`created`) and AdoptedSecretPrefix (`adopted`)."""

    created: str
    adopted: str

    def include(self, others: Prefixes) -> bool:
        """Whether every use that `others` cover is covered."""
        is_readable = all(prefix.startswith((self.created, self.adopted)) for prefix in (others.created, others.adopted))
        return is_readable and others.created.startswith(self.created)

    def cover(self, use: SecretUse) -> bool:
        """Whether the boundary of the reader roles and the roles of the functions include the secret.

        Both go by the name. A reader role can read secrets with either prefix. The functions can change the policy of a secret
        that Latchkey created only if its name begins with SecretPrefix.
        """
        is_readable = not use.through_role or use.secret_name.startswith((self.created, self.adopted))
        return is_readable and (not use.is_created or use.secret_name.startswith(self.created))

    def __str__(self) -> str:
        return f"SecretPrefix {self.created} and AdoptedSecretPrefix {self.adopted}"


def refusal(former: Prefixes, wanted: Prefixes, uses: Iterable[SecretUse]) -> str | None:
    """Why the prefixes cannot change, or None if they can.

    A use that the former prefixes do not cover does not count: the change takes nothing from it.
    """
    excluded = {(use.secret_name, use.access_id) for use in uses if former.cover(use) and not wanted.cover(use)}
    if not excluded:
        return None
    listed = [f"{secret} of {access_id}" for secret, access_id in sorted(excluded)[:MOST_LISTED]]
    more = [f"{len(excluded) - MOST_LISTED} more"] if len(excluded) > MOST_LISTED else []
    return (
        f"{wanted} exclude secrets that are in use: keep {former}, or first remove the accesses that use "
        f"{', '.join([*listed, *more])}"
    )
