"""Complete, fresh reads that must show that nothing uses a key or secret before it is deleted.

If a read fails, its error ends the attempt, and the resource stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from latchkey.access.grants import is_service_grant
from latchkey.aws.grants import Grant, list_grants
from latchkey.aws.keys import ObservedKey, find_key, list_aliases
from latchkey.aws.secrets import DEFAULT_KEY, ObservedSecret, find_secret, list_secrets, version_keys
from latchkey.events.outcomes import Evidence
from latchkey.removal.removal import Removal

# A secret that was last changed before the key existed cannot be under the key. The margin allows for clock differences.
_MARGIN = timedelta(days=1)


def read_key_evidence(removal: Removal, key: ObservedKey, grants_of: frozenset[str] = frozenset()) -> Evidence:
    """What uses the key: grants, aliases, references, and secrets under it, including those scheduled for deletion.

    ListSecrets can omit changes of the last five minutes, so the secret of the access is also read directly. For secrets that
    other requests moved to the key, the registry has references. `grants_of` are the names of grants that nothing uses, in
    addition to that of the access.
    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html
    """
    kms, secretsmanager = removal.clients.kms, removal.clients.secretsmanager
    aliases = list_aliases(kms, key.arn)
    names = {key.arn, key.arn.rsplit("/", 1)[1], *aliases, *(removal.desired.place.arn("kms", alias) for alias in aliases)}
    own = find_secret(secretsmanager, removal.desired.secret_id) if removal.desired.reads_secret else None
    secrets = {secret.arn: secret for secret in (*list_secrets(secretsmanager), *([own] if own else []))}.values()
    return Evidence(
        resource=key.arn,
        readAt=datetime.now(UTC),
        secrets=tuple(sorted(secret.arn for secret in secrets if _is_under(secret, key, names, removal))),
        grants=sum(not _is_own(removal, grant, grants_of) for grant in list_grants(kms, key.arn).grants),
        aliases=tuple(alias for alias in aliases if not is_own_alias(removal, alias, key.arn)),
        accesses=tuple(sorted(removal.registry.resources.others(key.arn, removal.access_id))),
        secretsRead=len(secrets),
    )


def read_secret_evidence(removal: Removal, secret_arn: str) -> Evidence:
    """What uses the secret: the accesses that refer to it. Its resource has already been restored or deleted."""
    users = removal.registry.resources.others(removal.desired.secret_resource, removal.access_id)
    return Evidence(resource=secret_arn, readAt=datetime.now(UTC), accesses=tuple(sorted(users)))


def is_own_alias(removal: Removal, alias: str, key_arn: str) -> bool:
    """Whether Latchkey created the alias for this key."""
    noted = removal.registry.resources.noted_key(alias)
    return alias == removal.desired.alias or (noted is not None and noted.arn == key_arn)


def _is_under(secret: ObservedSecret, key: ObservedKey, names: set[str], removal: Removal) -> bool:
    """Whether the secret is encrypted with the key, or one of its versions with no other key that can be used.

    Versions can remain under an earlier key. Those with a label also get a copy under the new one.
    """
    if secret.kms_key_id in names:
        return True
    if secret.changed is not None and secret.changed < key.created - _MARGIN:
        return False
    versions = version_keys(removal.clients.secretsmanager, secret.arn)
    return any(not _is_usable(removal, keys - names) for keys in versions if names.intersection(keys))


def _is_usable(removal: Removal, keys: Iterable[str]) -> bool:
    """Whether one of these keys can decrypt."""
    return any(one == DEFAULT_KEY or _is_enabled(find_key(removal.clients.kms, one)) for one in keys)


def _is_enabled(key: ObservedKey | None) -> bool:
    return key is not None and key.state == "Enabled"


def _is_own(removal: Removal, grant: Grant, grants_of: frozenset[str]) -> bool:
    """Whether the service created the grant for a resource of an access that leaves the key and does not read with it now.

    The service can retire such a grant late or never. It cannot decrypt anything: no secret is under the key.
    """
    by_service = grant.grantee is None or is_service_grant(grant, removal.settings.accepted_grantees)
    return by_service and grant.name is not None and grant.name in {removal.desired.grant_name, *grants_of}
