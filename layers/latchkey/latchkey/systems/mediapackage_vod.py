"""AWS Elemental MediaPackage v1, VOD: CDN authorization of packaging groups."""

from __future__ import annotations

from typing import Annotated, ClassVar

from latchkey.aws.planned_media import ShownResource, merged
from latchkey.aws.rates import Quota
from latchkey.formats import identifier
from latchkey.place import Place
from latchkey.systems import cdn_authorization
from latchkey.systems.system import Handoff, Reading, Resource, System


class PackagingGroup(Resource):
    """An existing VOD packaging group, by its ID. https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth-setup.html"""

    kind: ClassVar[str] = "packagingGroup"

    packaging_group: Annotated[str, identifier("ID of the packaging group", 256)]

    @property
    def name(self) -> str:
        return self.packaging_group


class PackagingGroups(cdn_authorization.CdnAuthorization):
    """VOD packaging groups, whose update accepts nothing but the authorization."""

    service = "mediapackage-vod"
    # https://docs.aws.amazon.com/mediapackage/latest/ug/vod-quotas.html
    quotas = (Quota("mediapackage-vod", "mediapackage-vod", 5, 8),)
    describe = "describe_packaging_group"
    set = "update_packaging_group"
    list_all = "list_packaging_groups"
    listed_member = "PackagingGroups"
    kind = PackagingGroup.kind
    shown = ShownResource("DescribePackagingGroup", ("Id",), {"UpdatePackagingGroup": merged})


def _handoff(resource: PackagingGroup, reading: Reading | None, _key_arn: str, _place: Place) -> Handoff:
    return cdn_authorization.handoff("AWS::MediaPackage::PackagingGroup", resource, reading)


MEDIAPACKAGE_VOD = System(
    name="mediapackage-vod",
    resource=PackagingGroup,
    reader=cdn_authorization.READER,
    secret=lambda _: cdn_authorization.SHAPE,
    configuration=PackagingGroups(),
    handoff=_handoff,
    effect_delay_seconds=cdn_authorization.EFFECT_DELAY_SECONDS,
    counterpart=cdn_authorization.COUNTERPART,
    rotation=cdn_authorization.ROTATION,
    documents=cdn_authorization.DOCUMENTS,
)
