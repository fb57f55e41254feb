"""The systems Latchkey knows, each a record of facts: adding one is one file and one name here."""

from types import MappingProxyType

from latchkey.systems.mediatailor import MEDIATAILOR

SYSTEMS = MappingProxyType({system.name: system for system in (MEDIATAILOR,)})
