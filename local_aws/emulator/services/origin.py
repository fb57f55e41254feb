"""An HTTP origin server that serves a manifest only with the access token of its source location.

It emulates an origin whose operator configured the value of the secret, and the endpoints of MediaPackage.
"""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import urlsplit

from ministack.core.responses import request_scope
from ministack.services import secretsmanager

from local_aws.emulator.services.source_locations import SourceLocation, SourceLocations

_MANIFEST = b"""#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:6
#EXT-X-PLAYLIST-TYPE:VOD
#EXTINF:6.0,
segment-0.ts
#EXT-X-ENDLIST
"""


class Endpoint(Protocol):
    """Serves a path and everything below it. It can require a header."""

    @property
    def header(self) -> str: ...

    def status(self, sent: str | None) -> int:
        """Returns the status of a request with this header value."""


class Origin:
    """Serves the source locations whose base URL has the port of this server, and `endpoints` by path."""

    def __init__(self, locations: SourceLocations) -> None:
        self.requests: list[dict[str, Any]] = []
        # The tokens that the operator has configured, by source location. None: the origin reads the secret on every request.
        self._configured: dict[str, set[str]] | None = None
        self.endpoints: dict[str, Endpoint] = {}
        self._locations = locations
        origin = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status = origin.answer(self.path, dict(self.headers.items()))
                body = _MANIFEST if status == 200 else b""
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.apple.mpegurl")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Logs nothing. GET /_local/origin returns the requests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, name="origin", daemon=True).start()

    def clear(self) -> None:
        self.requests.clear()
        self.endpoints.clear()
        self._configured = None

    def configure(self) -> None:
        """Configures every origin with the tokens that its secret has now. It accepts no others until the next call."""
        self._configured = {location.arn: _tokens(location) for location in self._locations.everywhere()}

    def _accepted(self, location: SourceLocation) -> set[str]:
        configured = self._configured or {}
        return configured[location.arn] if location.arn in configured else _tokens(location)

    def answer(self, target: str, headers: dict[str, str]) -> int:
        """Returns the status of a request and records it with the SHA-256 hash of the token."""
        path = urlsplit(target).path
        lower = {name.lower(): value for name, value in headers.items()}
        endpoint = self._endpoint(path)
        if endpoint is None:
            status, seen = self._status_of_location(path, lower)
        else:
            sent = lower.get(endpoint.header.lower())
            status, seen = endpoint.status(sent), (endpoint.header, sent) if sent is not None else None
        digest = hashlib.sha256(seen[1].encode()).hexdigest() if seen else None
        self.requests.append({"path": path, "status": status, "header": seen[0] if seen else None, "valueSha256": digest})
        return status

    def _endpoint(self, path: str) -> Endpoint | None:
        return next((found for base, found in list(self.endpoints.items()) if path.startswith(base + "/")), None)

    def _status_of_location(self, path: str, lower: dict[str, str]) -> tuple[int, tuple[str, str] | None]:
        status, seen = 404, None
        for location in self._serving(path):
            token = location.token
            if token is None:
                status, seen = 200, None
                break
            sent = lower.get(token["HeaderName"].lower())
            seen = (token["HeaderName"], sent) if sent is not None else seen
            status = 200 if sent is not None and sent in self._accepted(location) else 403
            if status == 200:
                break
        return status, seen

    def _serving(self, path: str) -> list[SourceLocation]:
        """Returns the source locations with the longest matching base URL."""
        bases = [(urlsplit(location.base_url), location) for location in self._locations.everywhere()]
        ours = [(base.path.rstrip("/") + "/", location) for base, location in bases if base.port == self.port]
        fitting = [(len(base), location) for base, location in ours if path.startswith(base)]
        longest = max((length for length, _ in fitting), default=0)
        return [location for length, location in fitting if length == longest and path.endswith(".m3u8")]


def _tokens(location: SourceLocation) -> set[str]:
    """Returns the current, the previous and the pending token: an origin accepts all of them during a rotation."""
    token = location.token or {}
    found = set()
    with request_scope(location.account, location.region):
        for stage in ("AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"):
            try:
                string = secretsmanager.resolve_secret_string(token["SecretArn"], stage)
                found.add(json.loads(string or "")[token["SecretStringKey"]])
            except (ValueError, KeyError, TypeError):
                continue
    return found
