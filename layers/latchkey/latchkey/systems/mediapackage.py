"""AWS Elemental MediaPackage v1, live: an origin endpoint that serves only a CDN that shows the secret's value."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import StringConstraints

from latchkey.place import Place
from latchkey.systems import cdn_authorization
from latchkey.systems.system import Handoff, Reading, Resource, System


class OriginEndpoint(Resource):
    """A live origin endpoint that exists, by its id. https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-setup.html"""

    kind: ClassVar[str] = "originEndpoint"

    origin_endpoint: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,256}$")]

    @property
    def name(self) -> str:
        return self.origin_endpoint


class OriginEndpoints(cdn_authorization.CdnAuthorization):
    """Live origin endpoints over MediaPackage's API."""

    service = "mediapackage"
    describe = "describe_origin_endpoint"
    set = "update_origin_endpoint"


def _handoff(resource: OriginEndpoint, reading: Reading | None, _key_arn: str, _place: Place) -> Handoff:
    return cdn_authorization.handoff("AWS::MediaPackage::OriginEndpoint", resource, reading)


MEDIAPACKAGE = System(
    name="mediapackage",
    resource=OriginEndpoint,
    reader=cdn_authorization.READER,
    secret=lambda _: cdn_authorization.SHAPE,
    configuration=OriginEndpoints(),
    handoff=_handoff,
    effect_delay_seconds=cdn_authorization.EFFECT_DELAY_SECONDS,
    documents=(
        "https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth.html",
        "https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-setup.html",
    ),
)
