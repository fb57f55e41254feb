"""Source locations, their grants and their alerts, as the points about MediaTailor use them."""

from typing import Any

from live_check.check import Check
from live_check.patience import CONSISTENCY

HEADER = "X-Latchkey-Live-Check"


def token_access(check: Check, secret: str = "Token") -> dict[str, Any]:
    """Returns the AccessConfiguration for a secret of the stack."""
    token = {"HeaderName": HEADER, "SecretArn": check.output(f"{secret}Arn"), "SecretStringKey": "token"}
    return {"AccessType": "SECRETS_MANAGER_ACCESS_TOKEN", "SecretsManagerAccessTokenConfiguration": token}


def settings(check: Check, name: str, secret: str | None = "Token") -> dict[str, Any]:
    """Returns the input of UpdateSourceLocation. With `secret=None`, the location has no token."""
    http = {"HttpConfiguration": {"BaseUrl": f"{check.stage.origin}/{name}"}}
    access = {"AccessConfiguration": token_access(check, secret)} if secret else {}
    return {"SourceLocationName": name} | http | access


def create_location(check: Check, suffix: str = "", secret: str | None = "Token", **members: Any) -> str:
    """Creates a source location, waits until it can be described, and returns its name."""
    mediatailor, name = check.client("mediatailor"), check.name(suffix)
    asked = settings(check, name, secret) | {"Tags": check.run.tags} | members
    check.eventually(lambda: mediatailor.create_source_location(**asked))
    check.eventually(lambda: describe(check, name))
    return name


def describe(check: Check, name: str) -> dict[str, Any]:
    found: dict[str, Any] = check.client("mediatailor").describe_source_location(SourceLocationName=name)
    return found


def delete_location(check: Check, name: str) -> None:
    check.client("mediatailor").delete_source_location(SourceLocationName=name)


def grants(check: Check, name: str, key: str = "Key") -> list[dict[str, Any]]:
    """Returns the grants of a source location on a key of the stack. A complete list is read, because pages can be empty."""
    pages = check.client("kms").get_paginator("list_grants").paginate(KeyId=check.output(f"{key}Arn"))
    wanted = f"MediaTailor-SourceLocation-{check.run.account}-{name}"
    return [grant for page in pages for grant in page["Grants"] if grant.get("Name") == wanted]


def grant_ids(check: Check, name: str, key: str = "Key") -> set[str]:
    return {grant["GrantId"] for grant in grants(check, name, key)}


def first_grant(check: Check, name: str, key: str = "Key") -> dict[str, Any]:
    """Returns the grant of a source location once it is listed."""
    return check.appears(lambda: grants(check, name, key), CONSISTENCY, f"The grant of {name}")[0]


def create_vod_source(check: Check, location: str) -> str:
    """Adds a VOD source, for which MediaTailor requests a manifest with the token. Returns its ARN."""
    package = {"Path": "/film/index.m3u8", "SourceGroup": "hls", "Type": "HLS"}
    made = check.client("mediatailor").create_vod_source(
        SourceLocationName=location, VodSourceName="film", HttpPackageConfigurations=[package], Tags=check.run.tags
    )
    return str(made["Arn"])


def alerts(check: Check, *arns: str) -> frozenset[str]:
    """Returns the codes of the alerts of source locations and VOD sources."""
    pages = check.client("mediatailor").get_paginator("list_alerts")
    items = [item for arn in arns for page in pages.paginate(ResourceArn=arn) for item in page["Items"]]
    return frozenset(item["AlertCode"] for item in items)
