"""A model of MediaTailor, which moto does not have: answers HTTP requests from a dictionary of source locations."""

import io
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

ARN = "arn:aws:mediatailor:us-east-1:{account}:sourceLocation/{name}"


CONSENT = {"latchkey:consent": "adopt"}


class Raw(io.BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.read()


class MediaTailor:
    """`locations` are the source locations by name. A PUT replaces a whole location, so settings that are not sent are lost,
    unless `keeps_omitted`. `empty_access` says what becomes of an empty AccessConfiguration: accept, refuse or keep.
    An update runs `at_update`, but one that changes nothing only if `renews_unchanged`.

    A missing location returns 404, as MediaTailor is assumed to do, or `missing_status`. A list has one page per location,
    after an empty first page. `sources` are the VOD sources of a location. The names in `unseen` exist, but no read and no
    update finds them yet.
    """

    def __init__(self, account: str) -> None:
        self.account = account
        self.locations: dict[str, dict[str, Any]] = {}
        self.alerts: list[str] = []
        self.sources: dict[str, list[str]] = {}
        self.writes: list[tuple[str, dict[str, Any]]] = []
        self.unseen: set[str] = set()
        self.missing_status = 404
        self.keeps_omitted = False
        self.empty_access = "accept"
        self.renews_unchanged = True
        self.at_update: Callable[[], object] = lambda: None

    def add(self, name: str, access: dict[str, Any] | None = None, **members: Any) -> None:
        """Creates a source location of another owner, by default with consent to adoption."""
        given = {"HttpConfiguration": {"BaseUrl": "https://origin.example.com/vod"}, "tags": CONSENT, **members}
        self._put(name, given | ({"AccessConfiguration": access} if access else {}))

    def answer(self, request: AWSPreparedRequest) -> AWSResponse:
        """The response to a request, which is not sent."""
        url = urlsplit(request.url)
        status, body = self._route(request.method, unquote(url.path), url.query, request.body)
        headers = HTTPHeaders.from_dict({"Content-Type": "application/json"})
        return AWSResponse(request.url, status, headers, Raw(json.dumps(body).encode()))

    def _route(self, method: str, path: str, query: str, body: Any) -> tuple[int, dict[str, Any]]:
        if path == "/alerts":
            return 200, {"Items": [{"AlertCode": code, "ResourceArn": "", "AlertMessage": ""} for code in self.alerts]}
        if path == "/sourceLocations":
            pages = [[], *([found] for name, found in self.locations.items() if name not in self.unseen)]
            at = int(parse_qs(query).get("nextToken", ["0"])[0])
            more = {"NextToken": str(at + 1)} if at + 1 < len(pages) else {}
            return 200, {"Items": pages[at]} | more
        name, _, listed = path.removeprefix("/sourceLocation/").partition("/")
        if method != "POST" and (name not in self.locations or name in self.unseen):
            return self.missing_status, {"Message": "source location not found"}
        if listed in ("vodSources", "liveSources"):
            names = self.sources.get(name, []) if listed == "vodSources" else []
            return 200, {"Items": [{"SourceLocationName": name, "VodSourceName": source} for source in names]}
        if method == "GET":
            return 200, self.locations[name]
        if method == "POST" and name in self.locations:
            return 400, {"Message": "source location already exists"}
        if method == "DELETE":
            self.writes.append((method, {}))
            del self.locations[name]
            return 200, {}
        given = json.loads(body)
        self.writes.append((method, given))
        if method == "PUT":
            present = {member: value for member, value in self.locations[name].items() if member in given}
            if self.renews_unchanged or given != present:
                self.at_update()
            if given.get("AccessConfiguration") == {} and self.empty_access == "refuse":
                return 400, {"Message": "AccessConfiguration is empty"}
            access = self.locations[name].get("AccessConfiguration")
            kept = "AccessConfiguration" not in given and self.keeps_omitted
            if access and (kept or (given.get("AccessConfiguration") == {} and self.empty_access == "keep")):
                given = given | {"AccessConfiguration": access}
        return 200, self._put(name, given)

    def _put(self, name: str, members: dict[str, Any]) -> dict[str, Any]:
        arn = ARN.format(account=self.account, name=name)
        # An update takes no tags and leaves them.
        kept = {key: value for key, value in self.locations.get(name, {}).items() if key == "tags"}
        self.locations[name] = {"SourceLocationName": name, "Arn": arn, **kept, **members}
        return self.locations[name]
