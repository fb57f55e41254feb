"""Five broken versions of the decision about a grant."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from latchkey.access.grants import GrantedResource
from latchkey.aws import grants
from latchkey.aws.grants import Grant
from latchkey.cleanup import clean_up_grants, grant_map, survey, verdict
from latchkey.cleanup.verdict import Assessment, Decision, Evidence, Surveys
from latchkey.place import Place
from latchkey.systems import mediatailor

_decide, _assess, _grant = verdict.decide, verdict.assess, grants._grant
Patch = pytest.MonkeyPatch


def without_the_date_check(patch: Patch) -> None:
    """Every grant counts as old."""

    def decide(first: Assessment | None, second: Assessment, _created: object, surveys: Surveys) -> Decision:
        return _decide(first, second, surveys.first_at - timedelta(days=1), surveys)

    patch.setattr(clean_up_grants, "decide", decide)


def without_the_second_look(patch: Patch) -> None:
    """A grant that is orphaned in the first survey is revoked whatever the second survey finds."""

    def decide(first: Assessment | None, second: Assessment, created: datetime | None, surveys: Surveys) -> Decision:
        return _decide(first, first or second, created, surveys)

    patch.setattr(clean_up_grants, "decide", decide)


def without_the_constraint_check(patch: Patch) -> None:
    """Every grant with the name counts as constrained to the secret that the resource uses."""

    def assess(grant: Grant, resource: GrantedResource, evidence: Evidence, place: Place) -> Assessment:
        constrained = replace(grant, secret_arn=evidence.resource.secret_arn or "any", source_arn=None)
        return _assess(constrained, resource, evidence, place).model_copy(update={"secret_arn": grant.secret_arn})

    for module in (clean_up_grants, grant_map):
        patch.setattr(module, "assess", assess)


def with_first_pages_only(patch: Patch) -> None:
    """A list counts as complete after its first page."""

    all_grants = grants.list_grants

    def list_grants(kms: Any, key_arn: str) -> Any:
        return all_grants(cast("Any", _OnePage(kms)), key_arn)

    def list_locations(client: Any) -> Any:
        return iter(client.list_source_locations(MaxResults=100)["Items"])

    patch.setattr(survey, "list_grants", list_grants)
    patch.setattr(mediatailor, "_list", list_locations)


class _OnePage:
    """A client whose lists of grants end after the first page."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def list_grants(self, **members: Any) -> Any:
        return self._client.list_grants(**members) | {"Truncated": False}


class _Beginning(str):
    """A name that equals all its prefixes."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.startswith(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def with_prefixes_for_names(patch: Patch) -> None:
    """The grant of `a-b` counts as a grant of `a`."""

    def grant(key_arn: str, entry: Any) -> Grant:
        made = _grant(key_arn, entry)
        return replace(made, name=_Beginning(made.name)) if made.name else made

    patch.setattr(grants, "_grant", grant)


BROKEN: Mapping[str, Callable[[Patch], None]] = {
    "without the date check": without_the_date_check,
    "without the second look": without_the_second_look,
    "without the constraint check": without_the_constraint_check,
    "with first pages only": with_first_pages_only,
    "with prefixes for names": with_prefixes_for_names,
}
