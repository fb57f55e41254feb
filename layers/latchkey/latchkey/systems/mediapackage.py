"""AWS Elemental MediaPackage v1, live: CDN authorization of origin endpoints."""

from __future__ import annotations

from typing import Annotated, ClassVar

from latchkey.aws.planned_media import ShownResource, merged
from latchkey.aws.rates import Quota
from latchkey.formats import identifier
from latchkey.place import Place
from latchkey.systems import cdn_authorization
from latchkey.systems.system import Handoff, Reading, Resource, System


class OriginEndpoint(Resource):
    """An existing live origin endpoint, by its ID. https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-setup.html"""

    kind: ClassVar[str] = "originEndpoint"

    origin_endpoint: Annotated[str, identifier("ID of the origin endpoint", 256)]

    @property
    def name(self) -> str:
        return self.origin_endpoint


class OriginEndpoints(cdn_authorization.CdnAuthorization):
    """Live origin endpoints, whose update replaces all settings."""

    service = "mediapackage"
    # https://docs.aws.amazon.com/mediapackage/latest/ug/live-quotas.html
    quotas = (Quota("mediapackage", "mediapackage", 5, 8),)
    describe = "describe_origin_endpoint"
    set = "update_origin_endpoint"
    list_all = "list_origin_endpoints"
    listed_member = "OriginEndpoints"
    kind = OriginEndpoint.kind
    shown = ShownResource("DescribeOriginEndpoint", ("Id",), {"UpdateOriginEndpoint": merged})


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
    counterpart=cdn_authorization.COUNTERPART,
    rotation=cdn_authorization.ROTATION,
    documents=cdn_authorization.DOCUMENTS,
)
