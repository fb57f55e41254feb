"""What must hold before a request may change anything: every problem is gathered, then told at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from latchkey import policies
from latchkey.access.desired import NOT_FOR_A_SHARED_KEY, Desired, desire
from latchkey.access.record import is_exclusive
from latchkey.aws.clients import ClientFor, regions
from latchkey.aws.errors import is_missing, translate
from latchkey.aws.grants import list_grants
from latchkey.aws.keys import ObservedKey, find_key, key_policy
from latchkey.aws.roles import denied_actions, find_role, refused_actions
from latchkey.aws.secrets import ObservedSecret, find_secret, secret_policy
from latchkey.errors import AccessDenied, Problem
from latchkey.onboarding.rules import bounds
from latchkey.onboarding.rules.consent import secret_rules
from latchkey.registry import Registry
from latchkey.settings import Settings
from latchkey.systems import SYSTEMS
from latchkey.systems.system import Configuration, Configured, CreatingConfiguration
from latchkey.tags import ACCESS, CONSENT, MANAGED_BY, OURS, is_ours, is_ours_or_consented

if TYPE_CHECKING:
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_kms.client import KMSClient

    from latchkey.onboarding.secret_values import ClientOfRegion

# What a user of a key does with it, and what nothing but its own policies could forbid.
_USE = ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey")


@dataclass(frozen=True)
class RequestRules:
    """The clients and bounds by which a request is looked at; nothing here can change anything."""

    settings: Settings
    registry: Registry
    kms: KMSClient
    secretsmanager: ClientOfRegion
    iam: IAMClient
    client_of: ClientFor

    def problems(self, desired: Desired) -> Iterator[Problem]:
        """Everything that speaks against a request, in no particular order; each thing is looked at once."""
        secret = self._find_secret(desired) if desired.reads_secret else None
        yield from self._principals(desired)
        yield from self._partners(desired)
        yield from self._role(desired)
        aliased = [*self._alias(desired)]
        yield from aliased
        try:
            key = self._find_key(desired)
            # Of an alias that is not for this system nothing else matters.
            yield from self._key(desired, key, secret) if not aliased else ()
        except ClientError as error:
            if not isinstance(translate(error), AccessDenied):
                raise
            key = None
            yield self._hidden_key(desired)
        if desired.reads_secret:
            yield from self._secret(desired, secret)
        if secret is not None:
            yield from self._key_move(desired, key, secret)
            yield from self._known_host(desired, secret)
        yield from self._source(desired)
        yield from self._resource(desired, secret)

    def _alias(self, desired: Desired) -> Iterator[Problem]:
        """The aliases of exclusive keys are kept apart, so that neither kind of request takes the other's."""
        alias, exclusive = desired.alias or "", f"alias/latchkey/{desired.system.name}/"
        if desired.alias and desired.system.key_is_exclusive and not alias.startswith(exclusive):
            yield Problem("key.alias", f"must begin with {exclusive}")
        kept = [name for name, system in SYSTEMS.items() if system.key_is_exclusive and name != desired.system.name]
        yield from (
            Problem("key.alias", f"must not begin with alias/latchkey/{name}, which is kept for {name}")
            for name in kept
            if alias.startswith(f"alias/latchkey/{name}")
        )

    def _find_key(self, desired: Desired) -> ObservedKey | None:
        arn = desired.request.key.arn
        is_here = arn is None or arn.startswith(desired.place.arn("kms", "key/"))
        return find_key(self.kms, arn or desired.alias or "") if is_here else None

    def _hidden_key(self, desired: Desired) -> Problem:
        """A key that does not let itself be looked at does not let IAM decide."""
        place = "key.arn" if desired.request.key.arn else "key.alias"
        return Problem(place, _not_delegating(desired))

    def _find_secret(self, desired: Desired) -> ObservedSecret | None:
        arn = desired.existing_secret_arn
        is_here = arn is None or arn.startswith(desired.place.arn("secretsmanager", "secret:"))
        return find_secret(self.secretsmanager(desired.place.region), arn or desired.secret_name) if is_here else None

    def _secret(self, desired: Desired, secret: ObservedSecret | None) -> Iterator[Problem]:
        return self._existing_secret(desired, secret) if desired.existing_secret_arn else self._new_secret(desired, secret)

    def _partners(self, desired: Desired) -> Iterator[Problem]:
        """Another account gets the key only if the stack's owner named it: whoever may put events must not choose it."""
        for at, statement in enumerate(desired.resource.partners):
            place = f"resource.partnerStatements.{at}.Principal.AWS"
            if statement.account not in self.settings.allowed_partner_accounts:
                yield Problem(place, "is of an account that the stack's parameter AllowedPartnerAccounts does not list")
            if not statement.principal.startswith(f"arn:{desired.place.partition}:"):
                yield Problem(place, f"must be of the partition {desired.place.partition}")
        before = self.registry.accesses.recorded_request(desired.access_id) if desired.resource.partners else None
        if before is not None:
            former = {one.account for one in desire(before, self.settings).resource.partners}
            gone = former - {one.account for one in desired.resource.partners}
            if gone:
                rule = f"lacks {', '.join(sorted(gone))}, which has the key: nothing is taken from a partner by a request"
                yield Problem("resource.partnerStatements", rule)

    def _role(self, desired: Desired) -> Iterator[Problem]:
        role = desired.role("", "")
        found = find_role(self.iam, role.name) if role else None
        # A tag anybody can set, who may make roles; the reference is ours.
        known = found is not None and self.registry.resources.is_referred(found.arn, desired.access_id)
        if found is not None and (not known or found.tags.get(ACCESS) != desired.access_id):
            yield Problem("resource", f"{found.arn}, the role of this access, exists and is not Latchkey's: remove it")

    def _principals(self, desired: Desired) -> Iterator[Problem]:
        for place, arns in desired.request.principals.items():
            for at, arn in enumerate(arns):
                rule = self._principal_problem(arn) or self._stranger(desired, arn) or self._powerless(desired, place, arn)
                if rule:
                    yield Problem(f"{place}.{at}", rule)

    def _principal_problem(self, arn: str) -> str | None:
        if rule := bounds.principal_rule(arn, self.settings):
            return rule
        if arn.split(":")[4] != self.settings.place.account:
            # IAM tells nothing of another account's roles; the parameters are all the consent there can be.
            return None
        kind, _, name = arn.split(":", 5)[5].partition("/")
        name = name.rsplit("/", 1)[-1]
        try:
            found = self.iam.get_role(RoleName=name)["Role"] if kind == "role" else self.iam.get_user(UserName=name)["User"]
        except ClientError as error:
            if is_missing(error):
                return "does not exist"
            raise
        return None if found["Arn"] == arn else "does not exist under this path"

    def _stranger(self, desired: Desired, arn: str) -> str | None:
        """Beside the partner's own statements no other account may use an exclusive key."""
        own = arn.split(":")[4] == self.settings.place.account
        return None if own or not desired.system.key_is_exclusive else f"must be of account {self.settings.place.account}"

    def _powerless(self, desired: Desired, place: str, arn: str) -> str | None:
        """Why the key policy alone will not let a user of the key use it: a Deny or a boundary in its own policies.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_testing-policies.html
        """
        if place != "key.users" or not desired.system.key_is_exclusive:
            return None
        denied = denied_actions(self.iam, arn, _USE, "*")
        return f"may not use the key by its own policies: {', '.join(denied)} denied" if denied else None

    def _key(self, desired: Desired, key: ObservedKey | None, secret: ObservedSecret | None) -> Iterator[Problem]:
        arn = desired.request.key.arn
        place = "key.arn" if arn else "key.alias"
        if key is not None:
            yield from self._key_rules(desired, key, secret, place)
        elif arn and not arn.startswith(desired.place.arn("kms", "key/")):
            yield Problem(place, f"must be a key of account {desired.place.account} in {desired.place.region}")
        elif arn:
            yield Problem(place, "does not exist")
        elif desired.system.key_is_exclusive:
            yield from self._creator(desired)

    def _creator(self, desired: Desired) -> Iterator[Problem]:
        """May the function that makes keys make this one? A key for a partner is refused before it is half made."""
        record = self.registry.accesses.get(desired.access_id)
        if record is not None:
            yield Problem("key.alias", f"is another key than {record.key_arn}, which {desired.access_id} has and keeps")
            return
        role, place = self.settings.create_key_role_arn, desired.place
        asked = {f"aws:RequestTag/{MANAGED_BY}": OURS}
        made = {f"aws:ResourceTag/{MANAGED_BY}": OURS}
        refused = refused_actions(self.iam, role, ("kms:CreateKey", "kms:TagResource"), "*", asked)
        some_key = place.arn("kms", "key/00000000-0000-0000-0000-000000000000")
        refused += refused_actions(
            self.iam, role, ("kms:CreateAlias", "kms:DescribeKey", "kms:EnableKeyRotation"), some_key, made
        )
        if refused:
            yield Problem("key", f"cannot be made: the policies of {role} do not allow {', '.join(refused)}")

    def _key_rules(self, desired: Desired, key: ObservedKey, secret: ObservedSecret | None, place: str) -> Iterator[Problem]:
        if not key.customer_managed:
            yield Problem(place, "must be a customer managed key")
            return
        if not key.encrypts_symmetrically:
            yield Problem(place, "must be a symmetric key for encryption and decryption")
        if key.multi_region:
            yield Problem(place, "must be a single-Region key")
        if key.state != "Enabled":
            yield Problem(place, f"must be enabled, and is {key.state}")
        if not is_ours_or_consented(key.tags):
            rule = f"the key is not Latchkey's: its owner consents by the tag {CONSENT} = adopt on {key.arn}"
            yield Problem(place, rule)
            return
        policy = key_policy(self.kms, key.arn)
        if not policies.delegates_to_iam(policy, desired.place):
            yield Problem(place, _not_delegating(desired))
        yield from self._exclusive(desired, key, place)
        under_default_key = secret is not None and secret.kms_key_id is None
        wanted = desired.key_statements_beside(secret.arn if secret else "", under_default_key=under_default_key)
        if policies.missing_from(policy, wanted):
            yield from (Problem(place, rule) for rule in _dead_principals(policy))
        if not is_ours(key.tags) or self.registry.resources.others(key.arn, desired.access_id):
            yield from (Problem(at, NOT_FOR_A_SHARED_KEY) for at in desired.powers_missing_from(policy))

    def _exclusive(self, desired: Desired, key: ObservedKey, place: str) -> Iterator[Problem]:
        """A key given to a partner serves one access and no other, and a key that served others never becomes one.

        Nor does one that somebody else made: consent to change a key is none to share it.
        """
        others = self.registry.resources.others(key.arn, desired.access_id)
        exclusive = sorted(other for other in others if is_exclusive([other]))
        if exclusive:
            yield Problem(place, f"serves {', '.join(exclusive)} and nothing else: choose another alias")
            return
        record = self.registry.accesses.get(desired.access_id)
        if not desired.system.key_is_exclusive or (record is not None and record.key_arn == key.arn):
            return
        if record is not None:
            yield Problem(place, f"is another key than {record.key_arn}, which {desired.access_id} has and keeps")
        elif not is_ours(key.tags):
            yield Problem(place, f"must be a key that Latchkey makes: leave out {place}, or choose another alias")
        elif others:
            yield Problem(place, f"serves {', '.join(sorted(others))}, and a key of {desired.system.name} serves nothing else")
        elif granted := len(list_grants(self.kms, key.arn).grants):
            yield Problem(place, f"has {granted} grants, and a key of {desired.system.name} serves nothing else")

    def _existing_secret(self, desired: Desired, secret: ObservedSecret | None) -> Iterator[Problem]:
        place, arn = "secret.value.existing.secretArn", desired.existing_secret_arn or ""
        if not arn.startswith(desired.place.arn("secretsmanager", "secret:")):
            yield Problem(place, f"must be a secret of account {desired.place.account} in {desired.place.region}")
            return
        # Our own go only to hosts that are known; where there is no host, a secret stays with its access.
        own = secret is not None and is_ours(secret.tags)
        own = own and (desired.resource.origin_host is not None or _is_of(desired, secret))
        yield from (Problem(place, rule) for rule in secret_rules(secret, "adopt", is_own=own))
        if secret is None or secret.is_being_deleted:
            return
        yield from self._role_bounds(desired)
        policy = secret_policy(self.secretsmanager(desired.place.region), arn)
        if policies.missing_from(policy, desired.secret_statements(arn)):
            yield from (Problem(place, rule) for rule in _dead_principals(policy or {}))

    def _role_bounds(self, desired: Desired) -> Iterator[Problem]:
        """The boundary of the roles goes by names: by a tag, whoever takes that away would stop what is on air."""
        prefixes = (self.settings.secret_prefix, self.settings.adopted_secret_prefix)
        if desired.role("", "") and not desired.secret_name.startswith(prefixes):
            rule = f"must begin with {' or '.join(prefixes)}, the stack's SecretPrefix and AdoptedSecretPrefix"
            yield Problem("secret.value.existing.secretArn", f"its name {rule}, for a role to read it")

    def _new_secret(self, desired: Desired, found: ObservedSecret | None) -> Iterator[Problem]:
        if not desired.secret_name.startswith(self.settings.secret_prefix):
            yield Problem("secret.name", f"must begin with {self.settings.secret_prefix}, the stack's parameter SecretPrefix")
        if found is not None and found.is_being_deleted:
            yield Problem("secret.name", "a secret of this name is being deleted: restore it or wait until it is gone")
        elif found is not None and not is_ours(found.tags):
            yield Problem("secret.name", f"{found.arn} exists and is not Latchkey's: adopt it with existing, or choose a name")
        elif found is not None and found.tags.get(ACCESS) != desired.access_id:
            yield Problem("secret.name", f"{found.arn} was made for another access: share it with existing")
        elif found is not None and desired.request.secret.value.copy_from:
            yield from self._alone(desired, "secret.value.copyFrom", "would change the token")

    def _key_move(self, desired: Desired, key: ObservedKey | None, secret: ObservedSecret) -> Iterator[Problem]:
        """Leaving aws/secretsmanager loses no reader; leaving another customer key may, so it must be asked for."""
        if secret.kms_key_id is None or (key and key.arn == self._key_arn(secret.kms_key_id)):
            return
        if desired.request.secret.move_key:
            yield from self._alone(desired, "secret.moveKey", "would move the key")
            return
        rule = f"is under {secret.kms_key_id}: name that key in key.arn, or set secret.moveKey to true to take it from there"
        yield Problem("secret.value.existing.secretArn" if desired.existing_secret_arn else "secret.name", rule)

    def _key_arn(self, key_id: str) -> str:
        """A secret tells its key as it was associated: by ARN, id or alias."""
        key = None if key_id.startswith("arn:") and ":key/" in key_id else find_key(self.kms, key_id)
        return key.arn if key else key_id

    def _alone(self, desired: Desired, place: str, what: str) -> Iterator[Problem]:
        """What changes a secret for all its readers is refused while other accesses read it."""
        if others := self.registry.resources.others(desired.secret_resource, desired.access_id):
            yield Problem(place, f"{what} of {', '.join(sorted(others))}, which read the same secret")

    def _known_host(self, desired: Desired, secret: ObservedSecret) -> Iterator[Problem]:
        """A token that exists goes only where it goes already, or where the stack's parameters let it go."""
        host = desired.resource.origin_host
        # Made for this access by a request that failed, it has never been sent anywhere; that of another registry may have.
        known = self.registry.resources.is_referred(desired.secret_resource, desired.access_id)
        if known and _is_of(desired, secret) and self.registry.accesses.get(desired.access_id) is None:
            return
        if host is None or bounds.allows_host(host, self.settings) or host in self.registry.resources.origin_hosts(secret.arn):
            return
        yield Problem(
            "resource.baseUrl",
            "an existing secret goes only to hosts its accesses use or that AllowedOriginHosts lists",
        )

    def _source(self, desired: Desired) -> Iterator[Problem]:
        source = desired.request.secret.value.copy_from
        if source is None:
            return
        place = "secret.value.copyFrom.secretArn"
        _, partition, _, region, account, _ = source.secret_arn.split(":", 5)
        if (partition, account) != (desired.place.partition, desired.place.account):
            yield Problem(place, f"must be a secret of account {desired.place.account}")
            return
        if region not in regions(partition):
            yield Problem(place, "names a Region that does not exist")
            return
        secret = find_secret(self.secretsmanager(region), source.secret_arn)
        # A copy goes to another secret and from there to any host, so even our own secrets need their owner's consent to it.
        yield from (Problem(place, rule) for rule in secret_rules(secret, "import"))

    def _unconsented(
        self, desired: Desired, configuration: Configuration, client: Any, present: Configured, secret: ObservedSecret | None
    ) -> Iterator[Problem]:
        """What Latchkey never makes is set as its owner consents; one that reads its access's secret has been set before."""
        if isinstance(configuration, CreatingConfiguration):
            return
        record = self.registry.accesses.get(desired.access_id)
        recorded = record is not None and present.secret_arn == record.secret_arn
        made = secret is not None and _is_of(desired, secret) and present.secret_arn == secret.arn
        if recorded or made:
            return
        arn, tags = configuration.consent_target(client, present)
        if tags.get(CONSENT) != "adopt":
            yield Problem("resource", f"is not Latchkey's: its owner consents by the tag {CONSENT} = adopt on {arn}")

    def _resource(self, desired: Desired, secret: ObservedSecret | None) -> Iterator[Problem]:
        yield from (Problem(f"resource.{at}", rule) for at, rule in desired.resource.wrong_location(desired.place).items())
        scheme = urlsplit(desired.resource.origin_url or "").scheme
        if scheme == "http" and not self.settings.allow_http_origins:
            yield Problem("resource.baseUrl", "must be https, since the token goes with every manifest request")
        configuration = desired.system.configuration
        if configuration is None or desired.hands_off or desired.resource.wrong_location(desired.place):
            return
        client = self.client_of(configuration.service)
        present = configuration.read(client, desired.resource)
        if present is None and not isinstance(configuration, CreatingConfiguration):
            yield Problem("resource", "does not exist, and Latchkey makes none: make it first, or set configure to false")
        if present is not None:
            yield from (Problem("resource", rule) for rule in configuration.unsupported_reasons(desired.resource, present))
            yield from self._unconsented(desired, configuration, client, present, secret)
        request = desired.request.secret
        base_url = desired.resource.origin_url
        foreign = present is not None and not is_ours_or_consented(dict(present.tags))
        if present is not None and foreign and present.settings.get("baseUrl") != base_url:
            rule = "is another than the resource has, which is not Latchkey's: its owner consents by the tag"
            yield Problem("resource.baseUrl", f"{rule} {CONSENT} = adopt on {present.arn}")
        if present is None or present.secret_arn is None or request.value.generate is None or request.replaces_token:
            return
        if secret is None or secret.arn != present.secret_arn:
            rule = "the resource sends a token already, and its origin does not know a new one: set replacesToken to true"
            yield Problem("secret.replacesToken", rule)


def _is_of(desired: Desired, secret: ObservedSecret | None) -> bool:
    """Was the secret made for this access?"""
    return secret is not None and secret.tags.get(ACCESS) == desired.access_id


def _not_delegating(desired: Desired) -> str:
    root = desired.place.arn("iam", "root", region="")
    return f"its policy does not delegate to IAM: add a statement that allows kms:* on * to {root}"


def _dead_principals(policy: policies.Document) -> Iterator[str]:
    if dead := policies.deleted_principals(policy):
        yield f"its policy names principals that were deleted, so AWS takes no change of it: remove {', '.join(dead)}"
