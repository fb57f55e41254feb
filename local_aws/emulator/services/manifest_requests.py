"""MediaTailor's requests for manifests to the origin, and the alerts that they raise.

https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-alerts.html
"""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Mapping

_TIMEOUT_SECONDS = 2.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would send the token to a host other than that of the source location."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())


async def manifest_alerts(url: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Returns alert messages by code. There are none if the origin serves a manifest."""
    try:
        # The timeout of urllib does not cover name resolution.
        code = await asyncio.wait_for(asyncio.to_thread(_get, url, headers), _TIMEOUT_SECONDS + 0.5)
    except TimeoutError:
        code = "UNREACHABLE"
    messages = {
        "UNAUTHORIZED": f"The origin denied access to {url}.",
        "UNREACHABLE": f"The origin did not respond to {url}.",
        "UNPARSABLE_MANIFEST": f"{url} is not an HLS or DASH manifest.",
    }
    return {code: messages[code]} if code else {}


def _get(url: str, headers: Mapping[str, str]) -> str:
    request = urllib.request.Request(url, headers=dict(headers))
    try:
        with _OPENER.open(request, timeout=_TIMEOUT_SECONDS) as answer:
            start = answer.read(1024)
    except urllib.error.HTTPError as error:
        return "UNAUTHORIZED" if error.code in (401, 403) else "UNREACHABLE"
    except (OSError, ValueError):
        return "UNREACHABLE"
    return "" if start.startswith(b"#EXTM3U") or b"<MPD" in start else "UNPARSABLE_MANIFEST"
