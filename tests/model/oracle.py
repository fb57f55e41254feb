"""What the functions must do, judged by the stores of the services and by calls, never by what functions read."""

import json
from dataclasses import dataclass
from typing import Any

from local_aws.emulator import clock
from local_aws.emulator.account import ACCOUNT, REGION
from local_aws.emulator.api_calls import Call
from local_aws.emulator.services.source_locations import SourceLocation, SourceLocations
from tests.model.in_process_aws import InProcessAws, Run, stored_grants, stored_secret

# The state of a grant changes only by writes to these services and by time.
_STORING = {"kms", "mediatailor", "secretsmanager"}
_READING = ("Describe", "Get", "List")

PREFIX = f"MediaTailor-SourceLocation-{ACCOUNT}-"
SERVICES = {"mediatailor.amazonaws.com", f"mediatailor.{REGION}.amazonaws.com"}


class WrongDecision(AssertionError):
    """A function did something that it must not do, or did not do something that it must do."""


@dataclass(frozen=True)
class Standing:
    """Reasons against a revocation: the resource uses the grant, the secret allows the service, the key is current."""

    owner: bool
    secret: bool
    key: bool

    @property
    def protected(self) -> bool:
        return self.owner and self.secret and self.key


class Oracle:
    """Records wrong revocations. `debts` are resources that lost a grant between the last read and the revocation."""

    def __init__(self, aws: InProcessAws) -> None:
        self._wire = aws
        self.wrong: list[str] = []
        self.debts: dict[str, str] = {}
        self.onto: set[tuple[str, str]] = set()
        self._made: set[tuple[str, str, str]] = set()
        self.windows = 0
        self.revoked = 0
        self._since: dict[tuple[str, str], int] = {}
        self._before: dict[str, Standing] = {}
        self._settled_at = 0.0
        aws.before, aws.after, aws.passed = self.see, self.settle, self._note_standings

    def see(self, call: Call, run: Run | None) -> None:
        """Before a call: records reads and judges revocations."""
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
        """After a call: records since when each grant is orphaned, and which resources have a grant again."""
        at = clock.seconds()
        if at == self._settled_at and (call.service not in _STORING or call.operation.startswith(_READING)):
            return
        self._note_standings()

    def _note_standings(self) -> None:
        self._settled_at = clock.seconds()
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
        described = f"{grant['Name']} ({grant_id[:6]}) by {run.ticket}"
        if grant["GranteePrincipal"] not in SERVICES:
            self.wrong.append(f"a person's grant was revoked: {described}")
        elif self.standing(grant).protected:
            name, bound = _name(grant), self._bound(grant)
            reads = {"owner": f"owner {name}", "secret": f"secret {bound}", "key": "key"}
            came = [part for part, read in reads.items() if self._since[grant_id, part] > run.read.get(read, self._wire.number)]
            if not came:
                self.wrong.append(f"a grant in use was revoked: {described}")
            else:
                self.windows += 1
                self.debts[name] = run.ticket

    def _judge_setting(self, call: Call, run: Run) -> None:
        """A clean-up configures a resource again only if it revoked a grant that the resource could use.

        The update is judged by its own content, which was read just before: MediaTailor has no conditional writes, so a
        concurrent change by a person cannot be detected.
        """
        name, access = call.raw_path.rpartition("/")[2], json.loads(call.body)["AccessConfiguration"]
        named = str(access.get("SecretsManagerAccessTokenConfiguration", {}).get("SecretArn", ""))
        if not self._made & {(name, bound, _key_of(named)) for bound in (named, "")}:
            self.wrong.append(f"{name} was set again for nothing by {run.ticket}")

    def check(self) -> None:
        if self.wrong:
            raise WrongDecision("; ".join(self.wrong))

    def ended(self, ticket: str) -> None:
        """At the end of a clean-up, a resource whose grant it revoked must have a grant again."""
        self.wrong += [f"{name} was not set again by {owing}" for name, owing in self.debts.items() if owing == ticket]

    def orphans(self, known: set[str]) -> dict[str, str]:
        """Returns the orphaned grants on managed keys by id.

        Keys in the registry are managed, and keys on which Latchkey caused a grant for a location.
        """
        return {
            grant["GrantId"]: f"{grant['Name']} ({grant['GrantId'][:6]}) is orphaned on {grant['KeyId']}"
            for grant in stored_grants()
            if (grant["KeyId"] in known or (_name(grant), grant["KeyId"]) in self.onto)
            and grant["GranteePrincipal"] in SERVICES
            and not self.standing(grant).protected
        }

    def at_rest(self, orphans: dict[str, str]) -> None:
        """After a full sweep with nothing running: no managed key has an orphan, and every resource has its grant."""
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
        """Returns whether the location exists, its secret allows the service, and its key has no grant for it."""
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
        """Returns the secret of a grant. A grant that is constrained to its location serves any secret of the location."""
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
    """Returns the secret in the encryption context of a grant, if any."""
    return str((grant["Constraints"] or {}).get("EncryptionContextSubset", {}).get("SecretARN", ""))


def _key_of(secret_arn: str) -> str:
    return str(stored_secret(secret_arn)[0].get("KmsKeyId", ""))


def _admits(secret_arn: str) -> bool:
    secret, policy = stored_secret(secret_arn)
    return bool(secret) and not secret.get("DeletedDate") and "mediatailor.amazonaws.com" in policy
