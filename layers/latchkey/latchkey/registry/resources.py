"""Items of kind `resource`: keys, aliases, secrets and roles, and the accesses that refer to each of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from latchkey.access.record import is_exclusive
from latchkey.errors import Conflict, NotYetEffective
from latchkey.registry.table import ConditionFailed, Table, now_text
from latchkey.requests.sender import NOT_ALLOWED
from latchkey.tags import DEFAULT_TENANT

_KEY_ARN = re.compile(r"arn:[^:]+:kms:[^:]+:[^:]+:key/")


@dataclass(frozen=True)
class NotedKey:
    """A key whose creation for an alias has started. `arn` is None until the response of CreateKey was recorded."""

    arn: str | None
    started: datetime
    request_id: str


class Resources:
    """A secret is identified by `secret <name>`, since its ARN is unknown before it exists. Others are identified by ARN."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def refer(self, resource: str, access_id: str, tenant: str = DEFAULT_TENANT) -> None:
        """Records that an access of a tenant is about to use a resource.

        Raises NotYetEffective while the resource is being removed, and Conflict if accesses of another tenant use it.
        """
        values = {":access": {access_id}, ":tenant": tenant}
        unused = "attribute_not_exists(accesses) OR #tenant = :tenant"
        if tenant == DEFAULT_TENANT:  # an earlier version wrote items without a tenant
            unused = f"{unused} OR attribute_not_exists(#tenant)"
        condition = f"attribute_not_exists(removing) AND ({unused})"
        try:
            self._table.update(
                "resource", resource, "SET #tenant = :tenant ADD accesses :access", condition, values, {"#tenant": "tenant"}
            )
        except ConditionFailed:
            if self.tenant(resource) not in (None, tenant):
                raise Conflict(f"{resource} is {NOT_ALLOWED}") from None
            raise NotYetEffective(f"{resource} is being removed by another request") from None

    def tenant(self, resource: str) -> str | None:
        """The tenant whose accesses refer to a resource, or None if no access does."""
        item = self._table.get("resource", resource)
        return item.get("tenant", DEFAULT_TENANT) if item.get("accesses") else None

    def release(self, resource: str, access_id: str) -> None:
        """Removes the reference of an access to a resource."""
        with suppress(ConditionFailed):
            values = {":access": {access_id}, ":one": access_id}
            self._table.update("resource", resource, "DELETE accesses :access", "contains(accesses, :one)", values)

    def is_referred(self, resource: str, access_id: str) -> bool:
        """Whether an access refers to a resource."""
        return access_id in self._table.get("resource", resource).get("accesses", ())

    def others(self, resource: str, access_id: str) -> frozenset[str]:
        """The other accesses that refer to a resource."""
        return self.accesses_of(resource) - {access_id}

    def accesses_of(self, resource: str) -> frozenset[str]:
        """The accesses that refer to a resource."""
        return frozenset(self._table.get("resource", resource).get("accesses", ()))

    def keys(self) -> dict[str, frozenset[str]]:
        """All keys that an access ever referred to, with the accesses that refer to each key now."""
        items = (item for item in self._table.query("resource") if _KEY_ARN.match(item["id"]))
        return {item["id"]: frozenset(item.get("accesses", ())) for item in items}

    def named(self) -> frozenset[str]:
        """The ARNs, and secrets as `secret <name>`, of everything that was ever referred to or created."""
        items = [*self._table.query("resource")]
        return frozenset(item["id"] for item in items) | {item["keyArn"] for item in items if "keyArn" in item}

    def exclusive_keys(self, keys: Iterable[str]) -> frozenset[str]:
        """The keys among `keys` that belong to a partner. Grants on these keys are never revoked."""
        return frozenset(key for key in keys if is_exclusive(self.accesses_of(key)))

    def await_removal(self, resource: str) -> None:
        """Raises NotYetEffective while a resource is being removed."""
        if "removing" in self._table.get("resource", resource):
            raise NotYetEffective(f"{resource} is being removed by another request")

    def begin_removal(self, resource: str, access_id: str) -> bool:
        """Blocks new references to a resource. Returns False if another access refers to it, and then blocks nothing."""
        try:
            self._table.update(
                "resource",
                resource,
                "SET removing = :now",
                "attribute_not_exists(accesses) OR accesses = :only",
                {":now": now_text(), ":only": {access_id}},
            )
        except ConditionFailed:
            return False
        return True

    def cancel_removal(self, resource: str) -> None:
        """Allows new references again, because the resource stays."""
        self._table.update("resource", resource, "REMOVE removing", None, {})

    def forget(self, resource: str) -> None:
        """Deletes the item of a removed resource, so that its name can be used again."""
        self._table.delete("resource", resource)

    def forget_removed(self, resource: str) -> None:
        """Deletes the item of a resource whose removal was interrupted after the resource was deleted."""
        with suppress(ConditionFailed):
            self._table.delete("resource", resource, "attribute_exists(removing)")

    def is_recorded_key(self, key_arn: str, alias: str | None) -> bool:
        """Whether an access refers to a key, or the key was created for this alias."""
        noted = self.noted_key(alias) if alias else None
        return bool(self.accesses_of(key_arn)) or (noted is not None and noted.arn == key_arn)

    def begin_secret(self, secret: str, access_id: str) -> None:
        """Records that a secret does not exist yet, and that no resource was configured with it.

        Nothing is recorded if another access refers to the secret, since that access can create and use it at any time.
        """
        with suppress(ConditionFailed):
            self._table.update(
                "resource",
                secret,
                "SET trackedSince = if_not_exists(trackedSince, :now) REMOVE configured, copiedFrom",
                "attribute_not_exists(accesses) OR accesses = :only",
                {":now": now_text(), ":only": {access_id}},
            )

    def note_configured(self, secret: str, resource_arn: str) -> None:
        """Records that a resource is about to be configured with a secret, so that its service can send the token."""
        self._table.update("resource", secret, "ADD configured :arn", None, {":arn": {resource_arn}})

    def was_never_configured(self, secret: str) -> bool:
        """Whether no resource was ever configured with a secret. False if an earlier version of Latchkey created the secret."""
        item = self._table.get("resource", secret)
        return "trackedSince" in item and "configured" not in item

    def note_copy(self, secret: str, source_arn: str) -> None:
        """Records that the value of a secret is copied from another secret."""
        self._table.update("resource", secret, "ADD copiedFrom :source", None, {":source": {source_arn}})

    def copied_from(self, secret: str) -> frozenset[str]:
        """The ARNs of the secrets from which the value of a secret was copied."""
        return frozenset(self._table.get("resource", secret).get("copiedFrom", ()))

    def noted_key(self, alias: str) -> NotedKey | None:
        """The key whose creation for an alias has started, or None."""
        item = self._table.get("resource", alias)
        if "begunAt" not in item:
            return None
        return NotedKey(item.get("keyArn"), datetime.fromisoformat(item["begunAt"]), item["begunFor"])

    def begin_key(self, alias: str, request_id: str) -> None:
        """Records that CreateKey is about to be called. If its response is lost, the key is found by its request tag."""
        values = {":now": now_text(), ":request": request_id}
        self._table.update("resource", alias, "SET begunAt = :now, begunFor = :request REMOVE keyArn", None, values)

    def note_key(self, alias: str, key_arn: str) -> None:
        """Records the ARN of a new key. Until the alias exists, only this record connects the key to the alias."""
        self._table.update("resource", alias, "SET keyArn = :arn", None, {":arn": key_arn})

    def forget_key(self, alias: str, key_arn: str) -> None:
        """Deletes the record of the key of an alias, unless another request has started to create a new key."""
        with suppress(ConditionFailed):
            self._table.delete("resource", alias, "keyArn = :arn", {":arn": key_arn})
