"""Headers of responses that only browsers use."""

from typing import Any

from ministack import app

from local_aws.emulator.gaps.patching import Around, wrap


def apply() -> None:
    wrap(app, "_dispatch_service_request", _without_cors)


async def _without_cors(original: Around, method: str, path: str, headers: dict[str, str], *args: Any) -> Any:
    """Gap: every response allows every origin. AWS answers only requests from a web page like that."""
    response = await original(method, path, headers, *args)
    if "origin" not in headers:
        for name in [name for name in response[1] if name.lower().startswith("access-control-")]:
            del response[1][name]
    return response
