"""Each thing that is wrong with an access is one finding of its kind, with the statement, principal or setting as evidence."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from latchkey import policies
from latchkey.access.desired import Desired
from latchkey.access.findings import (
    CATALOG,
    Circumstances,
    Finding,
    FindingKind,
    Remains,
    findings_of_access,
    findings_of_remains,
)
from latchkey.access.observed import ObservedAccess
from latchkey.access.record import AccessRecord
from latchkey.aws.secrets import Replica
from tests.unit.samples import EXISTING_ARN, FULL, KEY_ARN, KINDS, PLACE, READ_BY_ROLE, SECRET_ARN, TOKEN, desired, role
from tests.unit.test_checks import (
    CREATED,
    FAILURES,
    FORMER_KEY,
    GRANT,
    RESOURCE_ARN,
    SOUND,
    WANTED,
    Change,
    configured,
    key,
    secret,
    statement,
    without,
    without_key_statement,
)
from tests.unit.test_checks_of_systems import OTHER_SECRET, role_with, working

OURS = {"latchkey:managed-by": "latchkey", "latchkey:stack": "latchkey"}
RECORDED = CREATED + timedelta(days=1)
CALM = Circumstances(recorded_at=RECORDED, aliases=("alias/latchkey/mediatailor",), asked=())
PARTNER = "adobe-experience-platform"
DELETED = "AROADBQP57FF2AEXAMPLE"
KIND = FindingKind


def record_of(wanted: Desired, **members: Any) -> AccessRecord:
    reading = SECRET_ARN if wanted.reads_secret else None
    record = AccessRecord(wanted.access_id, wanted.system.name, "active", "request-1", KEY_ARN, reading, RESOURCE_ARN)
    return replace(record, **members)


def tagged(access: ObservedAccess) -> ObservedAccess:
    """The access with the tags that Latchkey sets."""
    found = replace(access, secret=replace(access.secret, tags=OURS) if access.secret else None)
    return replace(found, role=replace(access.role, tags=OURS) if access.role else None)


def findings(
    observed: ObservedAccess, wanted: Desired = WANTED, circumstances: Circumstances = CALM, **record: Any
) -> tuple[Finding, ...]:
    if wanted.alias and circumstances is CALM:
        circumstances = replace(CALM, aliases=(wanted.alias,))
    return findings_of_access(wanted, tagged(observed), record_of(wanted, **record), circumstances)


def kinds(*args: Any, **record: Any) -> list[FindingKind]:
    return [one.kind for one in findings(*args, **record)]


def one(*args: Any, **record: Any) -> Finding:
    [found] = findings(*args, **record)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_an_untouched_access_has_no_finding(kind: str) -> None:
    observed = SOUND if kind == "mediatailor" else working(kind)

    assert kinds(observed, WANTED if kind == "mediatailor" else desired(kind=kind)) == []


# What each failed check of an access is. A key never changes its type or its Region.
BY_FAILURE: Mapping[str, tuple[FindingKind, ...]] = {
    "disabled key": (KIND.KEY_DISABLED,),
    "key scheduled for deletion": (KIND.KEY_PENDING_DELETION,),
    "asymmetric key": (),
    "key for signatures": (),
    "key of another Region": (),
    "key without consent": (KIND.RECORDED_UNTAGGED,),
    "key with consent to import": (KIND.RECORDED_UNTAGGED,),
    "key that does not rotate": (KIND.KEY_ROTATION_OFF,),
    "key policy without the roles": (KIND.KEY_STATEMENT_MISSING,),
    "key policy without an origin reader": (KIND.KEY_STATEMENT_ALTERED,),
    "key policy without administrators": (KIND.KEY_STATEMENT_MISSING,),
    "key policy without a deletion": (KIND.KEY_STATEMENT_MISSING,),
    "key policy without users": (KIND.KEY_STATEMENT_MISSING,),
    "secret under another key": (KIND.SECRET_UNDER_OTHER_KEY,),
    "secret under the default key": (KIND.SECRET_UNDER_OTHER_KEY,),
    "current version under another key": (KIND.SECRET_UNDER_OTHER_KEY,),
    "secret scheduled for deletion": (KIND.SECRET_PENDING_DELETION,),
    "no statement for the roles": (KIND.SECRET_STATEMENT_MISSING,),
    "no statement for the origin": (KIND.SECRET_STATEMENT_MISSING,),
    "another statement for the service": (KIND.SECRET_STATEMENT_MISSING, KIND.SECRET_POLICY_ADMITS_OTHERS),
    "everyone denied": (KIND.SECRET_POLICY_EXCLUDES_READER,),
    "service denied": (KIND.SECRET_POLICY_EXCLUDES_READER,),
    "everyone allowed": (KIND.SECRET_POLICY_PUBLIC,),
    "header differs": (KIND.RESOURCE_OTHER_HEADER,),
    "base URL differs": (KIND.RESOURCE_OTHER_BASE_URL,),
    "other secret configured": (KIND.RESOURCE_OTHER_SETTING,),
    "other member configured": (KIND.RESOURCE_OTHER_SETTING,),
    "no access by secret": (KIND.RESOURCE_OTHER_SETTING,),
    "no resource": (KIND.RESOURCE_MISSING,),
    "an alert": (KIND.RESOURCE_ALERT,),
    "no grant": (KIND.GRANT_MISSING,),
    "grant for another secret": (KIND.GRANT_MISSING, KIND.GRANT_STALE),
    "grant of a longer name": (KIND.GRANT_MISSING,),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_each_failed_check_is_one_finding(failure: str) -> None:
    change, name, _ = FAILURES[failure]

    found = findings(change(SOUND))

    assert tuple(one.kind for one in found) == BY_FAILURE[failure]
    assert all(one.evidence for one in found)
    assert (
        not found
        or {name, "secret policy admits the reader", "key is enabled"} & {one.name for one in found}
        or name in {"secret policy holds our statements"}
    )


DELETED_SECRET = secret(is_being_deleted=True)


def test_a_deleted_secret_is_one_finding_whatever_fails_with_it() -> None:
    observed = replace(DELETED_SECRET(SOUND), secret_policy=None, grants=(), alerts=("NOT_PROCESSED",))

    found = one(observed)

    assert (found.kind, found.severity, SECRET_ARN in found.evidence) == (KIND.SECRET_PENDING_DELETION, "critical", True)


def test_a_lost_policy_of_the_secret_is_one_finding_for_each_of_our_statements() -> None:
    found = findings(replace(SOUND, secret_policy=None, grants=(), alerts=("NOT_PROCESSED",)))

    assert [(one.kind, one.severity, one.name) for one in found] == [
        (KIND.SECRET_STATEMENT_MISSING, "critical", "secret policy admits the reader"),
        (KIND.SECRET_STATEMENT_MISSING, "high", "secret policy admits the management roles"),
        (KIND.SECRET_STATEMENT_MISSING, "high", "secret policy admits the origin readers"),
    ]
    assert found[0].evidence == "there is no policy: LatchkeyMediatailorReading is missing"


def test_a_statement_that_several_checks_need_is_one_finding() -> None:
    found = one(without_key_statement("LatchkeySecretDecryption")(SOUND))

    assert found.evidence == (
        "LatchkeySecretDecryption is missing (fails: key policy admits the roles, key policy admits the origin readers)"
    )


def altered(sid: str, **members: Any) -> Change:
    """The key's policy with another statement under one of our Sids."""

    def change(access: ObservedAccess) -> ObservedAccess:
        statements = policies.statements_of(access.key_policy)
        changed = [statement | (members if statement["Sid"] == sid else {}) for statement in statements]
        return replace(access, key_policy=policies.new_document(changed))

    return change


OTHER_SERVICE = {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}
MANAGEMENT = "LatchkeyMediatailorManagement"


def test_a_pattern_that_covers_the_wanted_one_is_no_difference() -> None:
    place = "kms:EncryptionContext:SecretARN"
    wide, narrow, other = (
        {"StringLike": {place: f"arn:aws:secretsmanager:*:*:secret:{name}"}} for name in ("a/*", "a/b-??????", "b")
    )

    assert policies.differences({"Condition": wide}, {"Condition": narrow}) == []
    [difference] = policies.differences({"Condition": other}, {"Condition": narrow})
    assert difference.startswith(f"condition StringLike {place} is ")


@pytest.mark.parametrize(
    ("members", "evidence", "remediation"),
    [
        ({"Action": "kms:Decrypt"}, "Action is kms:Decrypt instead of kms:CreateGrant", "repair"),
        ({"Effect": "Deny"}, "Effect is Deny instead of Allow", "tell"),
        (
            {"Condition": OTHER_SERVICE},
            "condition StringEquals kms:ViaService is s3.eu-west-1.amazonaws.com and lacks ",
            "repair",
        ),
        ({"Condition": {}}, "lacks the condition StringEquals kms:ViaService", "repair"),
        (
            {"Condition": OTHER_SERVICE | {"Bool": {"aws:SecureTransport": True}}},
            "has the condition Bool aws:SecureTransport",
            "repair",
        ),
        ({"Principal": {"AWS": [role("Other")]}}, "lacks the principals ", "repair"),
        ({"Principal": {"AWS": [DELETED]}}, f"names the deleted principals {DELETED}", "repair"),
        ({"NotPrincipal": {"AWS": "*"}}, "has NotPrincipal instead of Principal", "repair"),
        ({"Resource": [f"arn:{number}" for number in range(50)]}, "... instead of *", "repair"),
    ],
)
def test_an_altered_statement_is_named_with_its_difference(members: dict[str, Any], evidence: str, remediation: str) -> None:
    found = one(altered(MANAGEMENT, **members)(SOUND))

    assert (found.kind, found.remediation) == (KIND.KEY_STATEMENT_ALTERED, remediation)
    assert found.evidence.startswith(f"{MANAGEMENT}: ")
    assert evidence in found.evidence


def test_many_missing_principals_are_counted() -> None:
    many = desired({"secret.originReaders": [role(f"Origin{number}") for number in range(9)]})
    policy = desired({"secret.originReaders": [role("Origin0")]}).new_key_policy

    found = findings(replace(SOUND, key_policy=policy), many)

    [altered_one] = [one for one in found if one.kind == KIND.KEY_STATEMENT_ALTERED]
    assert "and 3 more" in altered_one.evidence


def test_a_statement_of_an_earlier_version_is_outdated_and_works() -> None:
    """Until version 0.2.0, the statement named each secret by its ARN."""
    former = policies.new_document([policies.delegation(PLACE), *WANTED.needed_key_statements])

    found = one(replace(SOUND, key_policy=former))

    assert (found.kind, found.severity) == (KIND.KEY_STATEMENT_OUTDATED, "low")
    assert found.evidence.startswith("LatchkeySecretDecryption: condition StringLike kms:EncryptionContext:SecretARN is ")
    assert f"lacks RequestToValidateKeyAccess, {PLACE.arn('secretsmanager', 'secret:latchkey/*')}" in found.evidence


def test_a_key_policy_without_delegation_blocks_what_uses_iam() -> None:
    statements = [one for one in policies.statements_of(SOUND.key_policy) if one["Sid"] != "EnableIAMUserPermissions"]
    found = one(replace(SOUND, key_policy=policies.new_document(statements)))

    assert (found.kind, found.severity, found.name) == (KIND.KEY_POLICY_NOT_DELEGATING, "high", "key policy delegates to IAM")
    by_role = one(replace(working("mediapackage"), key_policy=policies.new_document(())), desired(kind="mediapackage"))
    assert (by_role.severity, by_role.name) == ("critical", "key policy lets the role decrypt")


def test_a_deleted_principal_of_others_blocks_repairs() -> None:
    theirs = {"Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": DELETED}, "Action": "kms:Decrypt", "Resource": "*"}
    of_key = policies.new_document([*policies.statements_of(SOUND.key_policy), theirs])

    assert one(replace(SOUND, key_policy=of_key)).evidence == f"{DELETED} in Theirs"
    found = findings(statement(Sid="Theirs", Principal={"AWS": DELETED}, Action="secretsmanager:DescribeSecret")(SOUND))
    assert [(one.kind, one.evidence) for one in found] == [(KIND.SECRET_POLICY_DELETED_PRINCIPAL, f"{DELETED} in Theirs")]


@pytest.mark.parametrize(
    ("aliases", "target", "evidence"),
    [
        ((), "other-key", f"alias/latchkey/mediatailor names other-key instead of {KEY_ARN}"),
        (("alias/other",), None, f"alias/latchkey/mediatailor does not exist instead of {KEY_ARN}"),
    ],
)
def test_an_alias_that_names_another_key_is_found(aliases: tuple[str, ...], target: str | None, evidence: str) -> None:
    found = one(SOUND, WANTED, replace(CALM, aliases=aliases, alias_target=target))

    assert (found.kind, found.evidence, found.remediation) == (KIND.KEY_ALIAS_MOVED, evidence, "tell")


def test_a_key_that_the_request_names_by_arn_has_no_alias() -> None:
    assert KIND.KEY_ALIAS_MOVED not in kinds(SOUND, desired({"key.arn": KEY_ARN}), replace(CALM, aliases=()))
    assert kinds(SOUND, WANTED, replace(CALM, aliases=None)) == []


def test_the_period_of_a_rotation_is_that_of_the_request() -> None:
    found = findings(replace(SOUND, rotation_days=90), desired({**FULL, "key.rotationDays": 180}))

    assert [(one.kind, one.evidence) for one in found] == [
        (KIND.KEY_ROTATION_PERIOD, f"{KEY_ARN} rotates every 90 days, and the request asks for 180")
    ]
    adopted = key(tags={"latchkey:consent": "adopt"})(replace(SOUND, rotation_days=None))
    assert kinds(adopted) == []
    assert kinds(key(state="Disabled")(replace(SOUND, rotation_days=None))) == [KIND.KEY_DISABLED]


def test_a_value_in_the_wrong_format_is_found() -> None:
    found = one(SOUND, WANTED, replace(CALM, value_problem="the secret is plain text"))

    assert (found.kind, found.evidence) == (KIND.SECRET_WRONG_SHAPE, f"{SECRET_ARN}: the secret is plain text")


def test_a_replica_that_failed_is_found() -> None:
    replicas = (Replica("eu-central-1", "InProgress"), Replica("us-east-1", "Failed", "a secret has this name"))

    found = one(secret(replicas=replicas)(SOUND))

    assert found.kind == KIND.SECRET_REPLICA_DIVERGED
    assert found.evidence == f"{SECRET_ARN} in us-east-1 is Failed: a secret has this name"
    assert "no reason is given" in one(secret(replicas=(Replica("us-east-1", "Failed"),))(SOUND)).evidence


def test_who_else_can_read_a_created_secret_is_named() -> None:
    found = one(statement(Sid="Theirs", Principal={"AWS": role("Stranger")})(SOUND))

    assert (found.kind, found.evidence) == (KIND.SECRET_POLICY_ADMITS_OTHERS, f"Theirs admits {role('Stranger')}")
    described = statement(Sid="Theirs", Principal={"AWS": role("Stranger")}, Action="secretsmanager:DescribeSecret")
    assert kinds(described(SOUND)) == []


def with_reader(principals: object) -> Change:
    """The secret's policy whose statement for the origin has other principals."""
    wanted = WANTED.secret_statements(SECRET_ARN)
    changed = [one | ({"Principal": principals} if one["Sid"] == "LatchkeyOriginReaders" else {}) for one in wanted]
    return lambda access: replace(access, secret_policy=policies.new_document(changed))


def test_a_principal_in_our_statement_that_no_request_names_is_found() -> None:
    widened = with_reader({"AWS": [role("Origin"), role("Stranger")]})(SOUND)
    asked = policies.role_reading([role("Stranger")], SECRET_ARN)

    found = one(widened)

    assert found.kind == KIND.SECRET_POLICY_ADMITS_OTHERS
    assert found.evidence == f"LatchkeyOriginReaders also admits {role('Stranger')}"
    assert kinds(widened, WANTED, replace(CALM, asked=(asked,))) == []
    assert kinds(widened, WANTED, replace(CALM, asked=None)) == []


def test_the_owner_of_an_adopted_secret_decides_who_reads_it() -> None:
    observed = tagged(statement(Sid="Theirs", Principal={"AWS": role("Stranger")})(SOUND))
    assert observed.secret
    adopted = replace(observed, secret=replace(observed.secret, tags={"latchkey:consent": "adopt"}))

    assert findings_of_access(WANTED, adopted, record_of(WANTED), CALM) == ()


def test_our_statement_that_allows_everyone_is_one_finding() -> None:
    found = one(with_reader("*")(SOUND))

    assert (found.kind, found.remediation) == (KIND.SECRET_POLICY_PUBLIC, "never")
    assert found.evidence == "LatchkeyOriginReaders allows everyone"


def test_a_condition_that_limits_nobody_is_public() -> None:
    found = one(statement(Sid="Theirs", Condition={"StringLike": {"aws:PrincipalArn": "*"}})(SOUND))

    assert found.kind == KIND.SECRET_POLICY_PUBLIC


ROLE_KIND = "mediapackage"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def _policy(**members: Any) -> policies.Document:
    held = desired(kind=ROLE_KIND).role(KEY_ARN, SECRET_ARN)
    assert held
    text = json.dumps(held.policy)
    for old, new in members.items():
        text = text.replace(old, new)
    changed: policies.Document = json.loads(text)
    return changed


WIDER = _policy() | {"Statement": [*_policy()["Statement"], {"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@pytest.mark.parametrize(
    ("change", "kind", "severity", "evidence"),
    [
        (lambda access: replace(access, role=None), KIND.ROLE_MISSING, "critical", "does not exist"),
        (
            role_with(trust=TRUST),
            KIND.ROLE_TRUST_CHANGED,
            "critical",
            "TheServiceForThisAccount is missing; Statement[0] is additional",
        ),
        (role_with(policy=None), KIND.ROLE_POLICY_CHANGED, "high", "there is no document"),
        (
            role_with(policy=OTHER_SECRET),
            KIND.ROLE_POLICY_CHANGED,
            "high",
            "TheSecret is missing; ItsKeyForNothingElse is missing",
        ),
        (role_with(policy=WIDER), KIND.ROLE_POLICY_CHANGED, "high", "Statement[2] is additional"),
        (
            role_with(policy=_policy(**{SECRET_ARN: EXISTING_ARN})),
            KIND.ROLE_POLICY_CHANGED,
            "high",
            f"TheSecret Resource is {EXISTING_ARN} instead of {SECRET_ARN}",
        ),
        (role_with(boundary_arn=None), KIND.ROLE_BOUNDARY_CHANGED, "high", "is absent instead of "),
        (role_with(others=("Theirs", "Also")), KIND.ROLE_FOREIGN_POLICY, "high", "also has Also, Theirs"),
        (
            lambda access: replace(access, refused=("kms:Decrypt",)),
            KIND.ROLE_CANNOT_READ,
            "critical",
            "is not allowed kms:Decrypt",
        ),
        (role_with(tags={}), KIND.RECORDED_UNTAGGED, "medium", "latchkey:managed-by is None"),
    ],
)
def test_a_changed_reader_role_is_found(
    change: Callable[[ObservedAccess], ObservedAccess], kind: FindingKind, severity: str, evidence: str
) -> None:
    wanted = desired(kind=ROLE_KIND)
    observed = change(tagged(working(ROLE_KIND)))

    [found] = findings_of_access(wanted, observed, record_of(wanted), replace(CALM, aliases=(wanted.alias or "",)))

    assert (found.kind, found.severity) == (kind, severity)
    assert evidence in found.evidence


def test_further_values_in_the_policy_of_a_role_are_named() -> None:
    held = _policy()
    held["Statement"][0]["Principal"] = {"AWS": "*"}

    assert (
        "TheSecret has further principals or values"
        in one(role_with(policy=held)(working(ROLE_KIND)), desired(kind=ROLE_KIND)).evidence
    )


@pytest.mark.parametrize("members", [{"policy": None}, {"others": ("Theirs",)}])
def test_what_keeps_a_role_from_reading_is_one_finding(members: dict[str, Any]) -> None:
    observed = replace(role_with(**members)(working(ROLE_KIND)), refused=("kms:Decrypt",))

    assert one(observed, desired(kind=ROLE_KIND)).name == "role may read the secret"


@pytest.mark.parametrize(("trust", "severity"), [(TRUST, "critical"), (None, "low")])
def test_a_role_that_was_created_again_is_one_finding(trust: Any, severity: str) -> None:
    again = {"created": RECORDED + timedelta(seconds=1)} | ({"trust": trust, "tags": {}} if trust else {})
    wanted = desired(kind=ROLE_KIND)

    observed = role_with(**again)(tagged(working(ROLE_KIND)))
    [found] = findings_of_access(wanted, observed, record_of(wanted), replace(CALM, aliases=(wanted.alias or "",)))

    assert (found.kind, found.severity) == (KIND.ROLE_REPLACED, severity)
    assert found.remediation == ("tell" if trust else "repair")
    assert ("trust policy of" in found.evidence) == bool(trust)


def test_a_role_cannot_decrypt_with_another_key_of_a_moved_secret() -> None:
    moved = replace(
        working(ROLE_KIND), secret_keys=(FORMER_KEY,), refused=("kms:Decrypt",), key_policy=policies.new_document(())
    )

    assert kinds(moved, desired(kind=ROLE_KIND)) == [KIND.SECRET_UNDER_OTHER_KEY]


def resource(secret_arn: str | None, **members: Any) -> Change:
    def change(access: ObservedAccess) -> ObservedAccess:
        assert access.configured
        return replace(access, configured=replace(access.configured, secret_arn=secret_arn, **members))

    return change


@pytest.mark.parametrize(
    ("change", "kind", "evidence"),
    [
        (resource(EXISTING_ARN), KIND.RESOURCE_OTHER_SECRET, f"uses {EXISTING_ARN}, instead of {SECRET_ARN}"),
        (resource(None), KIND.RESOURCE_NO_TOKEN, f"uses no secret, instead of {SECRET_ARN}"),
        (resource(None, authentication="S3_SIGV4"), KIND.RESOURCE_NO_TOKEN, "authenticates with S3_SIGV4"),
        (lambda access: replace(access, configured=None), KIND.RESOURCE_MISSING, f"{RESOURCE_ARN} does not exist"),
    ],
)
def test_a_resource_that_does_not_use_the_secret_is_one_finding(change: Change, kind: FindingKind, evidence: str) -> None:
    found = one(change(replace(SOUND, grants=(), alerts=("NOT_PROCESSED",))))

    assert (found.kind, found.remediation) == (kind, "never")
    assert evidence in found.evidence


def test_a_changed_setting_is_named_before_and_after() -> None:
    found = findings(configured("header")(SOUND))

    assert found[0].evidence == f"{RESOURCE_ARN}: header is other instead of X-Origin-Token"
    several = resource(SECRET_ARN, settings={"baseUrl": "https://origin.example.com/vod", "header": "X-Origin-Token"})
    assert one(several(SOUND)).evidence.startswith(
        f"{RESOURCE_ARN}: accessType is absent instead of SECRETS_MANAGER_ACCESS_TOKEN; "
    )


@pytest.mark.parametrize(
    "url", [f"https://latchkey:{TOKEN}@evil.example.com/vod", f"https://evil.example.com/vod?token={TOKEN}#{TOKEN}"]
)
def test_a_credential_in_a_changed_url_is_not_repeated(url: str) -> None:
    assert SOUND.configured
    settings = {**SOUND.configured.settings, "baseUrl": url}

    found = one(resource(SECRET_ARN, settings=settings)(SOUND))

    assert TOKEN not in found.evidence
    assert "baseUrl is https://evil.example.com/vod instead of https://origin.example.com/vod" in found.evidence


def test_an_endpoint_that_serves_without_the_token_is_open() -> None:
    kind = "mediapackagev2"
    observed = working(kind)
    assert observed.configured
    settings = {**observed.configured.settings, "policy": "allows other requests"}
    opened = resource(SECRET_ARN, settings=settings, public_statements=("Theirs",))

    found = one(opened(observed), desired(kind=kind))

    assert (found.kind, found.severity) == (KIND.RESOURCE_OPEN, "critical")
    assert kinds(resource(SECRET_ARN, settings=settings)(observed), desired(kind=kind)) == [KIND.RESOURCE_OTHER_SETTING]


def test_a_resource_of_its_owner_is_not_repaired() -> None:
    wanted = desired({**FULL, "resource.configure": False})

    assert [one.remediation for one in findings(configured("header")(SOUND), wanted)] == ["tell"]
    assert one(without("LatchkeyOriginReaders")(SOUND), wanted).remediation == "repair"


def test_resource_and_grants_are_not_judged_before_the_owner_confirms_them() -> None:
    observed = replace(SOUND, configured=None, grants=(), alerts=("NOT_PROCESSED",))

    assert kinds(observed, status="handed-off", reached="handed-off") == []


def test_nothing_of_a_partner_is_repaired() -> None:
    wanted = desired(kind=PARTNER)
    observed = replace(working(PARTNER), rotation_days=None, key_policy=policies.new_document([policies.delegation(PLACE)]))

    found = findings(observed, wanted)

    assert [(one.kind, one.severity, one.remediation) for one in found] == [
        (KIND.KEY_ROTATION_OFF, "medium", "never"),
        *[(KIND.KEY_STATEMENT_MISSING, "critical", "never")] * 2,
    ]


THEIR_GRANT = replace(GRANT, grant_id="g-9", grantee=role("Stranger"))


def test_a_grant_of_an_unknown_principal_explains_that_none_serves() -> None:
    assert kinds(replace(SOUND, grants=(THEIR_GRANT,))) == [KIND.GRANT_UNKNOWN_PRINCIPAL]
    assert kinds(replace(SOUND, grants=(GRANT, THEIR_GRANT))) == [KIND.GRANT_UNKNOWN_PRINCIPAL]


def test_an_alert_is_reported_only_if_nothing_explains_it() -> None:
    assert kinds(replace(SOUND, grants=(), alerts=("NOT_PROCESSED",))) == [KIND.GRANT_MISSING]
    assert kinds(replace(SOUND, rotation_days=None, alerts=("X",))) == [KIND.KEY_ROTATION_OFF, KIND.RESOURCE_ALERT]


@pytest.mark.parametrize(
    ("remains", "found"),
    [
        (Remains({KEY_ARN: False, SECRET_ARN: True}, True), [KIND.KEY_MISSING]),
        (Remains({KEY_ARN: True, SECRET_ARN: False}, True), [KIND.SECRET_MISSING]),
        (Remains({KEY_ARN: True, SECRET_ARN: False}, True, replacement=EXISTING_ARN), [KIND.SECRET_REPLACED]),
        (Remains({KEY_ARN: False, SECRET_ARN: False}, True), [KIND.KEY_MISSING, KIND.SECRET_MISSING]),
        (Remains({KEY_ARN: False, SECRET_ARN: True}, False), [KIND.KEY_MISSING, KIND.RESOURCE_MISSING]),
        (Remains({KEY_ARN: False, SECRET_ARN: False}, False), [KIND.RECORD_WITHOUT_RESOURCE]),
    ],
)
def test_what_no_longer_exists_is_found_once(remains: Remains, found: list[FindingKind]) -> None:
    seen = findings_of_remains(WANTED, record_of(WANTED), remains)

    assert [one.kind for one in seen] == found
    assert {one.remediation for one in seen} == {"never"}


def test_a_deleted_key_of_a_moved_secret_does_not_stop_the_service() -> None:
    [found] = findings_of_remains(WANTED, record_of(WANTED), Remains({KEY_ARN: False, SECRET_ARN: True}, True, moved=True))

    assert (found.kind, found.severity, found.name) == (KIND.KEY_MISSING, "high", "key exists")


def test_the_key_of_a_partner_is_all_that_its_record_names() -> None:
    wanted = desired(kind=PARTNER)

    [found] = findings_of_remains(wanted, record_of(wanted), Remains({KEY_ARN: False}))

    assert found.kind == KIND.RECORD_WITHOUT_RESOURCE


def test_long_evidence_is_cut() -> None:
    many = {f"Theirs{number:03}": role("Stranger") for number in range(200)}
    statements = [
        {"Sid": sid, "Effect": "Allow", "Principal": {"AWS": name}, "Action": "secretsmanager:*", "Resource": "*"}
        for sid, name in many.items()
    ]
    policy = policies.new_document([*WANTED.secret_statements(SECRET_ARN), *statements])

    found = one(replace(SOUND, secret_policy=policy))

    assert (len(found.evidence), found.evidence[-3:]) == (1000, "...")


@pytest.mark.parametrize("kind", READ_BY_ROLE)
def test_a_finding_has_the_severity_of_its_kind_by_default(kind: str) -> None:
    found = one(replace(working(kind), role=None), desired(kind=kind))

    assert (found.severity, found.remediation) == (CATALOG[found.kind].severity, CATALOG[found.kind].remediation)
