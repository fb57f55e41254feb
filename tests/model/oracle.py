"""What the model holds the functions to, judged from the services' own stores and from the calls, never from their reads."""

import json
from dataclasses import dataclass
from typing import Any

from local_aws.emulator import clock
from local_aws.emulator.account import ACCOUNT, REGION
from local_aws.emulator.api_calls import Call
from local_aws.emulator.services.source_locations import SourceLocation, SourceLocations
from tests.model.wire import Run, Wire, stored_grants, stored_secret

# Only a write to one of these, or the time, changes how a grant stands.
_STORING = {"kms", "mediatailor", "secretsmanager"}
_READING = ("Describe", "Get", "List")

PREFIX = f"MediaTailor-SourceLocation-{ACCOUNT}-"
SERVICES = {"mediatailor.amazonaws.com", f"mediatailor.{REGION}.amazonaws.com"}


class Wrong(AssertionError):
    """The functions did what they must not, or left undone what they must do."""


@dataclass(frozen=True)
class Standing:
    """Why a grant may not go: its owner wants it, its secret admits the service, its key is the one. Each True or False."""

    owner: bool
    secret: bool
    key: bool

    @property
    def protected(self) -> bool:
        return self.owner and self.secret and self.key


class Oracle:
    """Notes each revocation that was wrong; `debts` are owners that lost a grant in the moment that KMS leaves open."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.wrong: list[str] = []
        self.debts: dict[str, str] = {}
        self.onto: set[tuple[str, str]] = set()
        self._made: set[tuple[str, str, str]] = set()
        self.windows = 0
        self.revoked = 0
        self._since: dict[tuple[str, str], int] = {}
        self._before: dict[str, Standing] = {}
        self._settled_at = 0.0
        wire.before, wire.after = self.see, self.settle

    def see(self, call: Call, run: Run | None) -> None:
        """Before a call: what it reads is noted, what it revokes is judged."""
        if run is None:
            return
        number = self._wire.number
        if call.operation == "DescribeSourceLocation":
            run.read["owner " + call.raw_path.rpartition("/")[2]] = number
        elif call.operation in ("DescribeSecret", "GetResourcePolicy"):
            run.read["secret " + json.loads(call.body)["SecretId"]] = number
        elif call.operation == "ListGrants":
            run.read["key"] = number
        elif call.operation in ("CreateSourceLocation", "UpdateSourceLocation") and run.onto:
            self.onto.add(run.onto)
        elif call.operation == "UpdateSourceLocation":
            self._judge_setting(call, run)
        elif call.operation == "RevokeGrant":
            self._judge(json.loads(call.body)["GrantId"], run)

    def settle(self, call: Call) -> None:
        """After a call: since when each grant has stood as it does, and which owners have a grant again."""
        at = clock.seconds()
        if at == self._settled_at and (call.service not in _STORING or call.operation.startswith(_READING)):
            return
        self._settled_at = at
        grants = stored_grants()
        now = {grant["GrantId"]: self.standing(grant) for grant in grants}
        self._made |= {(_name(grant), _context(grant), grant["KeyId"]) for grant in grants}
        for grant_id, standing in now.items():
            for part in ("owner", "secret", "key"):
                held = grant_id in self._before and getattr(self._before[grant_id], part)
                if getattr(standing, part) and not held:
                    self._since[grant_id, part] = self._wire.number
        self._before = now
        self.debts = {name: ticket for name, ticket in self.debts.items() if self._lacks_grant(name)}

    def _judge(self, grant_id: str, run: Run) -> None:
        grant = next((grant for grant in stored_grants() if grant["GrantId"] == grant_id), None)
        if grant is None:
            return
        self.revoked += 1
        told = f"{grant['Name']} ({grant_id[:6]}) by {run.ticket}"
        if grant["GranteePrincipal"] not in SERVICES:
            self.wrong.append(f"a person's grant was revoked: {told}")
        elif self.standing(grant).protected:
            name, bound = _name(grant), self._bound(grant)
            reads = {"owner": f"owner {name}", "secret": f"secret {bound}", "key": "key"}
            came = [part for part, read in reads.items() if self._since[grant_id, part] > run.read.get(read, self._wire.number)]
            if not came:
                self.wrong.append(f"a grant in use was revoked: {told}")
            else:
                self.windows += 1
                self.debts[name] = run.ticket

    def _judge_setting(self, call: Call, run: Run) -> None:
        """A clean-up sets an owner again only where a grant was that could serve what the owner names.

        It is judged by what it sends, which it has just read: no write of MediaTailor is conditional, so that it cannot see
        what a person changes after that read.
        """
        name, access = call.raw_path.rpartition("/")[2], json.loads(call.body)["AccessConfiguration"]
        named = str(access.get("SecretsManagerAccessTokenConfiguration", {}).get("SecretArn", ""))
        if not self._made & {(name, bound, _key_of(named)) for bound in (named, "")}:
            self.wrong.append(f"{name} was set again for nothing by {run.ticket}")

    def check(self) -> None:
        if self.wrong:
            raise Wrong("; ".join(self.wrong))

    def ended(self, ticket: str) -> None:
        """A clean-up came to its end: an owner that it took a grant from has one again."""
        self.wrong += [f"{name} was not set again by {owing}" for name, owing in self.debts.items() if owing == ticket]

    def orphans(self, known: set[str]) -> dict[str, str]:
        """The orphaned grants on managed keys, by id.

        Managed are the keys that the registry knows, and those on which Latchkey itself had a grant made for a location.
        """
        return {
            grant["GrantId"]: f"{grant['Name']} ({grant['GrantId'][:6]}) is orphaned on {grant['KeyId']}"
            for grant in stored_grants()
            if (grant["KeyId"] in known or (_name(grant), grant["KeyId"]) in self.onto)
            and grant["GranteePrincipal"] in SERVICES
            and not self.standing(grant).protected
        }

    def at_rest(self, orphans: dict[str, str]) -> None:
        """After a sweep of everything, with nothing under way: no orphan is left on a managed key, and nobody lacks a grant."""
        self.wrong += orphans.values()
        self.wrong += [f"{name} lost its grant to {ticket}" for name, ticket in self.debts.items()]

    def standing(self, grant: dict[str, Any]) -> Standing:
        location, bound = self._location(_name(grant)), self._bound(grant)
        if location is None or grant["GranteePrincipal"] not in SERVICES:
            return Standing(owner=False, secret=False, key=False)
        named = (location.token or {}).get("SecretArn")
        mine = location.is_visible or (location.grant is not None and location.grant.grant_id == grant["GrantId"])
        key = _key_of(bound)
        elsewhere = any(self._serves(other, location, bound) for other in stored_grants() if other["KeyId"] == key)
        return Standing(
            owner=mine and named is not None and named == bound,
            secret=bool(named) and _admits(bound),
            key=key == grant["KeyId"] or not elsewhere,
        )

    def _lacks_grant(self, name: str) -> bool:
        """Is the location there, with a secret that admits the service, and without a grant on its key?"""
        location = self._location(name)
        named = (location.token or {}).get("SecretArn") if location else None
        if location is None or named is None or not _admits(named):
            return False
        key = _key_of(named)
        return not any(self._serves(grant, location, named) for grant in stored_grants() if grant["KeyId"] == key)

    def _serves(self, grant: dict[str, Any], location: SourceLocation, secret: str) -> bool:
        is_named = grant["Name"] == location.grant_name and grant["GranteePrincipal"] in SERVICES
        return is_named and self._bound(grant) == secret

    def _bound(self, grant: dict[str, Any]) -> str:
        """The secret for which a grant was made; one that is bound to its location serves whatever secret that names."""
        if secret := _context(grant):
            return secret
        location = self._location(_name(grant))
        is_bound = location is not None and (grant["Constraints"] or {}).get("SourceArn") == location.arn
        return str((location.token or {}).get("SecretArn", "")) if location and is_bound else ""

    def _location(self, name: str) -> SourceLocation | None:
        locations: SourceLocations = self._wire.mediatailor.locations
        return locations.get(ACCOUNT, REGION, name)


def _name(grant: dict[str, Any]) -> str:
    return str(grant["Name"]).removeprefix(PREFIX)


def _context(grant: dict[str, Any]) -> str:
    """The secret in a grant's encryption context, if any."""
    return str((grant["Constraints"] or {}).get("EncryptionContextSubset", {}).get("SecretARN", ""))


def _key_of(secret_arn: str) -> str:
    return str(stored_secret(secret_arn)[0].get("KmsKeyId", ""))


def _admits(secret_arn: str) -> bool:
    secret, policy = stored_secret(secret_arn)
    return bool(secret) and not secret.get("DeletedDate") and "mediatailor.amazonaws.com" in policy
