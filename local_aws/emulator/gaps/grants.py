"""KMS grants: grants to service principals, and ListGrants with propagation delay, empty pages and lasting markers."""

import base64
import json
from email.utils import formatdate
from typing import Any

from ministack.core.responses import json_response, new_uuid
from ministack.services import kms

from local_aws.emulator import clock
from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.gaps.patching import Around, body_of, current_caller, error_response, wrap

_SERVICE_FORM = {"GranteeServicePrincipal": "GranteePrincipal", "RetiringServicePrincipal": "RetiringPrincipal"}


def apply() -> None:
    wrap(kms, "_create_grant", _create_grant)
    wrap(kms, "_grant_entry", _grant_entry)
    wrap(kms, "_list_grants", _list_grants)


def _create_grant(original: Around, data: dict[str, Any]) -> Any:
    """Gap: GranteeServicePrincipal, RetiringServicePrincipal and their SourceArn constraint are rejected.

    The record has the principal where MiniStack looks for it. `_service_form` has the members to return it in.
    """
    invalid = _service_form_error(data)
    if invalid:
        return error_response("ValidationException", invalid)
    known = set(kms._grants.keys())
    name = data.get("Name")
    plain = {_SERVICE_FORM.get(member, member): value for member, value in data.items()}
    if CURRENT.value.recreated_grant == "new-id" and name and current_caller() is None:
        # By assumption, a service that creates a grant again under the same name gets a new one.
        plain["Name"] = f"{name}/{new_uuid()}"
    response = original(plain)
    made = body_of(response)
    if made and made["GrantId"] not in known:
        record = kms._grants[made["GrantId"]]
        record |= {"Name": name or "", "_since": clock.seconds(), "CreationDate": int(clock.seconds())}
        record["_service_form"] = sorted(_SERVICE_FORM.keys() & data)
    return response


def _service_form_error(data: dict[str, Any]) -> str | None:
    for member, plain in _SERVICE_FORM.items():
        if data.get(member) and data.get(plain):
            return f"Specify {member} or {plain}, not both."
    if not data.get("GranteeServicePrincipal"):
        return None
    if not (data.get("Constraints") or {}).get("SourceArn"):
        return "A grant to a service principal needs the constraint SourceArn."
    if not (data.get("RetiringPrincipal") or data.get("RetiringServicePrincipal")):
        return "A grant to a service principal needs a retiring principal."
    return None


def _grant_entry(original: Around, grant: dict[str, Any]) -> Any:
    entry = original(grant)
    for member in grant.get("_service_form", ()):
        entry[member] = entry.pop(_SERVICE_FORM[member])
    return entry


def _list_grants(original: Around, data: dict[str, Any]) -> Any:
    """Gap: the Date header does not use the emulated clock, which dates the grants."""
    status, headers, body = _listed(original, data)
    return status, headers | {"Date": formatdate(clock.seconds(), usegmt=True)}, body


def _listed(original: Around, data: dict[str, Any]) -> Any:
    """Gap: a marker becomes invalid when its grant is deleted, and there is no filter by service principal.

    By assumption, grants younger than `grantLagSeconds` are not listed. With `emptyPages`, an empty page precedes every
    page.
    """
    response = original({name: value for name, value in data.items() if name not in ("Marker", "GranteePrincipal")})
    if body_of(response) is None:
        return response
    key, limit = kms._resolve_key(data["KeyId"]), data.get("Limit", 50)
    try:
        after, is_shown = _read_marker(data.get("Marker"))
    except ValueError:
        return error_response("InvalidMarkerException", "Invalid marker.")
    if CURRENT.value.empty_pages and not is_shown:
        return json_response({"Grants": [], "Truncated": True, "NextMarker": _marker(after, True)})
    grantee = data.get("GranteePrincipal") or data.get("GranteeServicePrincipal")
    since = clock.seconds() - CURRENT.value.grant_lag_seconds
    matching = sorted(
        (grant["CreationDate"], grant["GrantId"])
        for grant in list(kms._grants.values())
        if grant["KeyId"] == key["Arn"]
        and grant.get("_since", 0) <= since
        and data.get("GrantId") in (None, grant["GrantId"])
        and grantee in (None, grant["GranteePrincipal"])
    )
    page = [position for position in matching if position > after]
    shown = [kms._grant_entry(kms._grants[grant_id]) for _, grant_id in page[:limit] if grant_id in kms._grants]
    if len(page) <= limit:
        return json_response({"Grants": shown, "Truncated": False})
    return json_response({"Grants": shown, "Truncated": True, "NextMarker": _marker(page[limit - 1], False)})


def _marker(after: tuple[int, str], is_shown: bool) -> str:
    return base64.urlsafe_b64encode(json.dumps([*after, is_shown]).encode()).decode()


def _read_marker(marker: str | None) -> tuple[tuple[int, str], bool]:
    """Returns the position after which the page starts, and whether its empty page was returned."""
    if marker is None:
        return (0, ""), False
    created, grant_id, is_shown = json.loads(base64.urlsafe_b64decode(marker))
    return (int(created), str(grant_id)), bool(is_shown)
