"""The supported systems, each a record of facts. To add a system, add a file and its name here: docs/add-a-system.md."""

from types import MappingProxyType

from latchkey.systems.adobe_experience_platform import ADOBE_EXPERIENCE_PLATFORM
from latchkey.systems.mediaconnect import MEDIACONNECT
from latchkey.systems.mediapackage import MEDIAPACKAGE
from latchkey.systems.mediapackage_vod import MEDIAPACKAGE_VOD
from latchkey.systems.mediapackagev2 import MEDIAPACKAGEV2
from latchkey.systems.mediatailor import MEDIATAILOR

_ALL = (MEDIATAILOR, MEDIAPACKAGE, MEDIAPACKAGE_VOD, MEDIAPACKAGEV2, MEDIACONNECT, ADOBE_EXPERIENCE_PLATFORM)

SYSTEMS = MappingProxyType({system.name: system for system in _ALL})
