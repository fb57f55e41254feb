"""Points about the KMS grant that MediaTailor creates for a source location."""

import time
from typing import Any

from live_check.answers import Answer, UnsettledError
from live_check.check import Check, described, outcome
from live_check.patience import CONSISTENCY, PROPAGATION
from live_check.points.register import point
from live_check.points.source_locations import (
    create_location,
    delete_location,
    first_grant,
    grant_ids,
    grants,
    settings,
    token_access,
)

# MediaTailor promises to retire its grant, but not when. The point stops waiting after half an hour.
_RETIREMENT = 1800.0


@point("grant-form", "M1", "mediatailor", "kms", switch="grantForm")
def grant_form(check: Check) -> Answer:
    """Which principal is the grantee of MediaTailor's grant, and which constraint does the grant have?

    Seen: ListGrants after CreateSourceLocation. `principal` is a GranteePrincipal that is a service, `service-principal` a
    GranteeServicePrincipal, `role` the ARN of a role.
    https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-access-configuring.html
    """
    grant = first_grant(check, create_location(check))
    grantee = grant.get("GranteePrincipal", "")
    if grant.get("GranteeServicePrincipal"):
        form, grantee = "service-principal", grant["GranteeServicePrincipal"]
    elif ":role/" in grantee or ":assumed-role/" in grantee:
        form = "role"
    elif grantee.endswith(".amazonaws.com"):
        form = "principal"
    else:
        form = "another"
    retiring = grant.get("RetiringServicePrincipal") or grant.get("RetiringPrincipal") or "nobody"
    constraint = ", ".join(sorted(grant.get("Constraints") or {})) or "no constraint"
    operations = ", ".join(grant.get("Operations", []))
    return Answer(form, f"The grantee is {grantee} with {constraint}; it may {operations}. {retiring} can retire the grant.")


@point("retirement", "M2", "mediatailor", "kms", switch="mediatailorRetires", minutes=45)
def retirement(check: Check) -> Answer:
    """When does MediaTailor retire its grant after DeleteSourceLocation?

    Seen: ListGrants until the grant is gone. If that takes at most five minutes, in which KMS can still list a retired grant,
    it was retired at once, and otherwise late. A grant that is left after half an hour is never retired.
    https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-overview.html
    """
    name = create_location(check)
    first_grant(check, name)
    delete_location(check, name)
    last_seen = _last_seen(check, name)
    if last_seen is None:
        return Answer("never", f"The grant was still listed {_RETIREMENT / 60:g} minutes after the deletion.")
    when = "at-once" if last_seen <= check.patience.seconds(CONSISTENCY) else "late"
    return Answer(when, f"The grant was last listed {last_seen:.1f} seconds after the deletion.")


@point("late-retirement", "M2", "mediatailor", "kms", switch="lateSeconds", minutes=45)
def late_retirement(check: Check) -> Answer:
    """How many seconds after DeleteSourceLocation does MediaTailor retire its grant, if it does so late?

    Seen: the last ListGrants with the grant.
    https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-overview.html
    """
    name = create_location(check)
    first_grant(check, name)
    delete_location(check, name)
    last_seen = _last_seen(check, name)
    if last_seen is None:
        raise UnsettledError(f"MediaTailor did not retire the grant within {_RETIREMENT / 60:g} minutes.")
    if last_seen <= check.patience.seconds(CONSISTENCY):
        raise UnsettledError("MediaTailor retired the grant at once.")
    return Answer(round(last_seen, 1), f"The grant was last listed {last_seen:.1f} seconds after the deletion.")


def _last_seen(check: Check, name: str) -> float | None:
    """Returns for how many seconds the grant of a deleted location was listed, or None if it stays."""
    start, last = time.monotonic(), 0.0

    def is_gone() -> bool:
        nonlocal last
        asked = time.monotonic() - start
        if grants(check, name):
            last = asked
            return False
        return True

    return last if check.until(is_gone, _RETIREMENT) else None


@point("recreated-grant", "M4", "mediatailor", "kms", switch="recreatedGrant", minutes=20)
def recreated_grant(check: Check) -> Answer:
    """Does a recreated source location get a new grant, or the former one with its id?

    Seen: the ids that ListGrants returns before DeleteSourceLocation and after CreateSourceLocation with the same settings. The
    question only arises while the former grant exists.
    https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html
    """
    name = create_location(check)
    former = first_grant(check, name)["GrantId"]
    delete_location(check, name)
    create_location(check)
    if check.until(lambda: grant_ids(check, name) - {former}, CONSISTENCY):
        if check.until(lambda: former not in grant_ids(check, name), CONSISTENCY):
            raise UnsettledError("MediaTailor retired the former grant before the location was created again.")
        return Answer("new-id", "Both grants are listed five minutes after the location was created again.")
    if former in grant_ids(check, name):
        return Answer("same-id", "Only the former grant is listed, with the same id.")
    raise UnsettledError("The location that was created again has no grant.")


@point("reused-grant", "M5", "mediatailor", "kms", switch="lateRetiresReused", minutes=75)
def reused_grant(check: Check) -> Answer:
    """Does a late retirement also retire a grant that a recreated source location uses?

    Seen: ListGrants for two source locations that are deleted, of which one is created again. The question only arises if
    MediaTailor retires the grant of the other one late.
    https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-overview.html
    """
    reused, other = create_location(check, "reused"), create_location(check, "other")
    former = first_grant(check, reused)["GrantId"]
    first_grant(check, other)
    delete_location(check, reused)
    delete_location(check, other)
    create_location(check, "reused")
    if former not in grant_ids(check, reused):
        raise UnsettledError("MediaTailor retired the former grant before the location was created again.")
    if not check.until(lambda: not grants(check, other), _RETIREMENT):
        raise UnsettledError(f"MediaTailor retired no grant within {_RETIREMENT / 60:g} minutes.")
    if check.until(lambda: former not in grant_ids(check, reused), CONSISTENCY):
        return Answer(True, "The grant of the location that was created again is gone, too.")
    return Answer(False, "The grant of the location that was created again is still listed.")


@point("update-retires", "M3", "mediatailor", "kms", switch="updateRetires", minutes=15)
def update_retires(check: Check) -> Answer:
    """Does UpdateSourceLocation retire the former grant when the location gets a secret under another key?

    Seen: ListGrants for the former key until the former grant is gone, for ten minutes.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-mediatailor-sourcelocation.html
    """
    name = create_location(check)
    first_grant(check, name)
    _update(check, settings(check, name, "SecondToken"))
    first_grant(check, name, "SecondKey")
    if check.until(lambda: not grants(check, name), 2 * CONSISTENCY):
        return Answer(True, "The former grant is gone.")
    return Answer(False, "The former grant is still listed after ten minutes.")


@point("unchanged-update", "M8", "mediatailor", "kms", switch="unchangedUpdateRenews", minutes=20)
def unchanged_update(check: Check) -> Answer:
    """Does UpdateSourceLocation with unchanged settings create a missing grant?

    Seen: ListGrants after RevokeGrant and UpdateSourceLocation. Latchkey restores a grant in this way.
    https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-overview.html
    """
    name = create_location(check)
    revoked = first_grant(check, name)["GrantId"]
    check.client("kms").revoke_grant(KeyId=check.output("KeyArn"), GrantId=revoked)
    check.until(lambda: not grants(check, name), CONSISTENCY)
    _update(check, settings(check, name))
    if check.until(lambda: grant_ids(check, name) - {revoked}, CONSISTENCY):
        return Answer(True, "A new grant is listed after the update.")
    return Answer(False, "No grant is listed five minutes after the update.")


@point("caller-needs-decrypt", "M6", "mediatailor", "kms", switch="callerNeedsDecrypt")
def caller_needs_decrypt(check: Check) -> Answer:
    """Does the caller of CreateSourceLocation need kms:Decrypt on the key of the secret?

    Seen: the same call with two roles, of which one lacks the permission. The question is settled once the other role succeeds.
    https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-access-configuring.html
    """
    complete, lacking = check.client_as("Caller", "mediatailor"), check.client_as("CallerWithoutDecrypt", "mediatailor")
    check.eventually(lambda: _create_as(check, complete, "complete"))
    denied = outcome(lambda: check.eventually(lambda: _create_as(check, lacking, "lacking"), PROPAGATION))
    return Answer(denied is not None, f"Without kms:Decrypt, CreateSourceLocation {described(denied)}.")


@point("forwarded-calls", "A2", "mediatailor", "kms")
def forwarded_calls(check: Check) -> Answer:
    """Is aws:ViaAWSService true for the calls to Secrets Manager that MediaTailor makes for its caller?

    Seen: CreateSourceLocation by a role whose permissions for the secret have this condition.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    caller = check.client_as("Caller", "mediatailor")
    denied = outcome(lambda: check.eventually(lambda: _create_as(check, caller, "")))
    return Answer(denied is None, f"CreateSourceLocation {described(denied)}.")


def _create_as(check: Check, client: Any, suffix: str) -> None:
    name = check.name(suffix)
    client.create_source_location(
        SourceLocationName=name,
        HttpConfiguration={"BaseUrl": f"{check.stage.origin}/{name}"},
        AccessConfiguration=token_access(check),
        Tags=check.run.tags,
    )


def _update(check: Check, members: dict[str, Any]) -> None:
    mediatailor = check.client("mediatailor")
    check.eventually(lambda: mediatailor.update_source_location(**members))
