"""Every operation with pages is called by the one reader of pages, which knows its markers."""

from __future__ import annotations

import ast
from functools import cache

import pytest
from botocore import xform_name
from botocore.loaders import Loader

from latchkey.aws.pages import MARKERS, TRUNCATION
from latchkey.systems.cdn_authorization import CdnAuthorization
from tests.contract.artifacts import service_model, sources, tree
from tests.contract.test_permissions import CLIENTS, CONFIGURED

SERVICES = sorted(
    {service for service, _ in CLIENTS.values()}
    | {configuration.service for configuration in CONFIGURED.values() if configuration}
)


@cache
def paged() -> dict[str, set[tuple[str, str]]]:
    """The methods of boto3 clients whose operation has pages, by botocore's paginators or by a marker in its response."""
    found: dict[str, set[tuple[str, str]]] = {}
    for service in SERVICES:
        model = service_model(service)
        paginators = Loader().load_service_model(service, "paginators-1")["pagination"]
        for name in model.operation_names:
            response = model.operation_model(name).output_shape
            marked = set(response.members if response else ()) & {*MARKERS, *TRUNCATION}
            if name in paginators or marked:
                found.setdefault(xform_name(name), set()).add((service, name))
    return found


def _called() -> tuple[set[str], list[str]]:
    """The methods with pages that the reader calls, and the places where anything else calls one."""
    # The methods that the reader gets by their names.
    read = {one.list_all for one in CONFIGURED.values() if isinstance(one, CdnAuthorization)}
    direct = []
    for path in sources():
        nodes = [*ast.walk(tree(path))]
        calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "read_pages"]
        arguments = {call.args[0] for call in calls}
        read |= {argument.attr for argument in arguments if isinstance(argument, ast.Attribute)}
        for node in nodes:
            if not isinstance(node, ast.Attribute) or node in arguments:
                continue
            # Table.query is the registry's reader of items, also for its own leases. No class of the package is a boto3 client.
            is_paged = node.attr in paged() and ast.unparse(node.value) not in {"self._table", "self", "super()"}
            if is_paged or node.attr in {"get_paginator", "can_paginate"}:
                direct.append(f"{path.name}:{node.lineno} {node.attr}")
    return read, direct


def test_no_operation_with_pages_is_called_outside_the_reader() -> None:
    assert _called()[1] == []


def test_the_reader_reads_every_list_of_the_package() -> None:
    assert _called()[0] == {
        "describe_stacks",
        "list_alerts",
        "list_aliases",
        "list_attached_role_policies",
        "list_channel_groups",
        "list_channels",
        "list_flows",
        "list_grants",
        "list_keys",
        "list_live_sources",
        "list_origin_endpoints",
        "list_packaging_groups",
        "list_resource_policies",
        "list_resource_tags",
        "list_role_policies",
        "list_roles",
        "list_secret_version_ids",
        "list_secrets",
        "list_source_locations",
        "list_vod_sources",
        "query",
        "scan",
        "simulate_principal_policy",
    }


@pytest.mark.parametrize("method", sorted(_called()[0]))
def test_the_reader_knows_the_markers_of_the_operation(method: str) -> None:
    for service, name in paged()[method]:
        operation = service_model(service).operation_model(name)
        request, response = operation.input_shape, operation.output_shape
        assert request is not None
        assert response is not None
        known = [marker for marker, member in MARKERS.items() if marker in response.members and member in request.members]
        assert len(known) == 1, f"{service}:{name}"
