"""MediaConnect: encryption with secrets that it reads through a role, updates, and authorization."""

import hashlib
from typing import Any

import boto3
import pytest

from local_aws.emulator.account import ACCOUNT
from local_aws.tools.embedded_aws import Embedded
from tests.local_aws.gap_account import Account, allow
from tests.local_aws.role_reader import RoleReader, failure, trust_from

SERVICE = "mediaconnect.amazonaws.com"
KEY, PASSWORD = "0123456789abcdefABCDEF0123456789", "Pass-word-1234"
REFUSED, PASSING = ("BadRequestException", 400), {"iam:PassedToService": SERVICE}


@pytest.fixture
def account(local: Embedded) -> Account:
    return Account(local)


@pytest.fixture
def reader(account: Account) -> RoleReader:
    return RoleReader(account, SERVICE, KEY)


def encryption(reader: RoleReader, algorithm: str = "aes128", **changes: str) -> dict[str, str]:
    return {"Algorithm": algorithm, "KeyType": "static-key", "RoleArn": reader.role, "SecretArn": reader.secret} | changes


def password(reader: RoleReader) -> dict[str, str]:
    return {"KeyType": "srt-password", "RoleArn": reader.role, "SecretArn": reader.secret}


def zixi(name: str = "camera", **members: Any) -> dict[str, Any]:
    return {"Name": name, "Protocol": "zixi-push", "WhitelistCidr": "10.0.0.0/16"} | members


def create(account: Account, client: Any = None, **members: Any) -> Any:
    sources = members.pop("Sources", [zixi()])
    request = {"Name": account.unique("flow"), "Sources": sources} | members
    return (client or account.client("mediaconnect")).create_flow(**request)["Flow"]


@pytest.mark.parametrize("rereads", [False, True])
def test_flow_uses_the_key_that_it_read_at_its_last_update(account: Account, reader: RoleReader, rereads: bool) -> None:
    def used() -> str:
        found: dict[str, str] = account.local.control("GET", "flow-keys")
        return found[source["SourceArn"]]

    account.assume(flowRereads=rereads)
    flow = create(account, Sources=[zixi(Decryption=encryption(reader))])
    source = flow["Source"]
    assert used() == hashlib.sha256(KEY.encode()).hexdigest()
    reader.rotate(KEY[::-1])
    changed = hashlib.sha256(KEY[::-1].encode()).hexdigest()
    assert (used() == changed) is rereads
    client = account.client("mediaconnect")
    client.update_flow_source(FlowArn=flow["FlowArn"], SourceArn=source["SourceArn"], Decryption=encryption(reader))
    assert used() == changed


def test_flow_is_described_with_its_components(account: Account, reader: RoleReader) -> None:
    flow = create(
        account,
        Sources=[zixi(Decryption=encryption(reader))],
        Outputs=[{"Name": "screen", "Protocol": "zixi-pull", "RemoteId": "a", "Encryption": encryption(reader)}],
        Entitlements=[{"Name": "partner", "Subscribers": ["111122223333"], "Encryption": encryption(reader)}],
    )
    client = account.client("mediaconnect")
    found = client.describe_flow(FlowArn=flow["FlowArn"])["Flow"]
    assert found == flow
    assert found["Source"] == found["Sources"][0]
    assert found["Source"]["Decryption"] == found["Outputs"][0]["Encryption"] == encryption(reader)
    assert found["Outputs"][0]["Transport"] == {"Protocol": "zixi-pull", "RemoteId": "a"}
    assert found["Entitlements"][0]["Subscribers"] == ["111122223333"]
    assert found["Status"] == "STANDBY"
    kinds = [found["FlowArn"], found["Source"]["SourceArn"], found["Outputs"][0]["OutputArn"]]
    assert [arn.split(":")[5] for arn in kinds] == ["flow", "source", "output"]
    assert found["Entitlements"][0]["EntitlementArn"].split(":")[6] == found["FlowArn"].split(":")[6]
    listed = client.get_paginator("list_flows").paginate(PaginationConfig={"PageSize": 1}).build_full_result()["Flows"]
    assert (flow["FlowArn"], "OWNED") in [(item["FlowArn"], item["SourceType"]) for item in listed]
    assert KEY not in account.local.log()


def test_service_assumes_the_role_and_the_role_reads_the_secret(account: Account, reader: RoleReader) -> None:
    account.local.control("DELETE", "calls")
    create(account, Sources=[zixi(Decryption=encryption(reader))])
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role"
    assert reader.reads() == {
        (SERVICE, "AssumeRole"): 1,
        (session, "DescribeSecret"): 1,
        (session, "GetSecretValue"): 1,
    }


@pytest.mark.parametrize("missing", ["describe", "get", "decrypt"])
def test_role_that_cannot_read_the_secret_is_rejected(account: Account, reader: RoleReader, missing: str) -> None:
    reader.permit_all_but(missing)
    sources = [zixi(Decryption=encryption(reader))]
    assert failure(create, account=account, Sources=sources)[:2] == REFUSED
    reader.permit("describe", "get", "decrypt")
    create(account, Sources=sources)


def test_trust_policy_can_require_account_and_flow(account: Account, reader: RoleReader) -> None:
    sources = [zixi(Decryption=encryption(reader))]
    reader.trust(trust_from(SERVICE, "111122223333"))
    assert failure(create, account=account, Sources=sources)[:2] == REFUSED
    of_flows = trust_from(SERVICE, ACCOUNT).replace(
        '{"StringEquals"', f'{{"ArnLike": {{"aws:SourceArn": "arn:aws:mediaconnect:*:{ACCOUNT}:flow:*:*"}}, "StringEquals"'
    )
    reader.trust(of_flows)
    create(account, Sources=sources)
    reader.trust(of_flows.replace(":flow:", ":routerInput:"))
    assert failure(create, account=account, Sources=sources)[:2] == REFUSED


@pytest.mark.parametrize(("algorithm", "digits"), [("aes128", 32), ("aes192", 48), ("aes256", 64)])
def test_static_key_must_have_the_length_of_its_algorithm(account: Account, algorithm: str, digits: int) -> None:
    flow = create(account)["FlowArn"]
    add = account.client("mediaconnect").add_flow_sources
    for value, is_fit in (
        ("a" * digits, True),
        ("a" * (digits - 1), False),
        ("a" * (digits + 1), False),
        ("g" * digits, False),
    ):
        reader = RoleReader(account, SERVICE, value)
        source = zixi(account.unique("source"), Decryption=encryption(reader, algorithm))
        if is_fit:
            add(FlowArn=flow, Sources=[source])
        else:
            assert failure(add, FlowArn=flow, Sources=[source])[:2] == REFUSED


@pytest.mark.parametrize(
    ("value", "is_fit"),
    [
        (PASSWORD, True),
        ("Abcdefgh12", True),
        ("abcdefgh-1", True),
        ("Ab-456789", False),
        ("a" * 79, True),
        ("a" * 80, False),
        ("abcdefgh12", True),
        ("quiet river, 2024", True),
        ('{"password": "Pass-word-1234"}', False),
        ("{Pass-word-1234", True),
    ],
)
def test_srt_password_rules(account: Account, value: str, is_fit: bool) -> None:
    output = {"Protocol": "srt-caller", "Destination": "10.0.0.1", "Port": 9000}
    output |= {"Encryption": password(RoleReader(account, SERVICE, value))}
    flow = create(account)["FlowArn"]
    add = account.client("mediaconnect").add_flow_outputs
    if is_fit:
        assert add(FlowArn=flow, Outputs=[output])["Outputs"][0]["Encryption"] == output["Encryption"]
    else:
        assert failure(add, FlowArn=flow, Outputs=[output])[:2] == REFUSED


def test_key_type_must_fit_the_protocol(account: Account, reader: RoleReader) -> None:
    secret = RoleReader(account, SERVICE, PASSWORD)
    for sources in (
        [zixi(Protocol="srt-listener", Decryption=encryption(reader))],
        [zixi(Decryption=password(secret))],
        [zixi(Protocol="rtp", Decryption=encryption(reader))],
    ):
        assert failure(create, account=account, Sources=sources)[:2] == REFUSED
    create(account, Sources=[zixi(Protocol="srt-listener", Decryption=password(secret))])


def test_encryption_must_be_complete_and_its_secret_in_the_account(account: Account, reader: RoleReader) -> None:
    whole = encryption(reader)
    wrong = [{k: v for k, v in whole.items() if k != missing} for missing in ("Algorithm", "SecretArn")]
    wrong += [
        whole | {"SecretArn": whole["SecretArn"].replace(old, new)}
        for old, new in (("us-east", "eu-west"), (ACCOUNT, "1" * 12))
    ]
    wrong += [whole | {"RoleArn": reader.role + "s"}, whole | {"SecretArn": whole["SecretArn"] + "s"}]
    for decryption in wrong:
        assert failure(create, account=account, Sources=[zixi(Decryption=decryption)])[:2] == REFUSED
    create(account, Sources=[zixi(Decryption={k: v for k, v in whole.items() if k != "KeyType"})])


def test_speke_does_not_read_a_secret(account: Account, reader: RoleReader) -> None:
    account.local.control("DELETE", "calls")
    decryption = {"KeyType": "speke", "RoleArn": reader.role, "Url": "https://keys.example.com", "Region": "us-east-1"}
    create(account, Sources=[zixi(Decryption=decryption)])
    assert reader.reads() == {}


def test_caller_requires_pass_role(account: Account, reader: RoleReader) -> None:
    sources = [zixi(Decryption=encryption(reader))]
    every, other = allow("mediaconnect:*"), {"StringEquals": {"iam:PassedToService": "mediapackage.amazonaws.com"}}
    for statements in ([every], [every, allow("iam:PassRole", reader.role, **other)]):
        caller = account.role(*statements).client("mediaconnect")
        assert failure(create, account=account, client=caller, Sources=sources)[:2] == ("ForbiddenException", 403)
    passing = allow("iam:PassRole", reader.role, StringEquals=PASSING)
    create(account, account.role(every, passing).client("mediaconnect"), Sources=sources)


def test_update_can_clear_what_it_omits(account: Account, reader: RoleReader) -> None:
    account.assume(omittedOnFlowUpdate="clear")
    client = account.client("mediaconnect")
    outputs = [{"Name": "screen", "Protocol": "zixi-pull", "RemoteId": "a", "Encryption": encryption(reader)}]
    entitlements = [{"Name": "partner", "Subscribers": ["111122223333"], "Description": "affiliate"}]
    flow = create(account, Sources=[zixi(Description="stadium", MaxLatency=500)], Outputs=outputs, Entitlements=entitlements)
    named, source = {"FlowArn": flow["FlowArn"]}, flow["Source"]
    found = client.update_flow_source(**named, SourceArn=source["SourceArn"], Decryption=encryption(reader))["Source"]
    assert found == {"Name": "camera", "SourceArn": source["SourceArn"], "Decryption": encryption(reader)}
    output = flow["Outputs"][0]
    found = client.update_flow_output(**named, OutputArn=output["OutputArn"], Protocol="zixi-pull", Port=5000)["Output"]
    assert found == {
        "Name": "screen",
        "OutputArn": output["OutputArn"],
        "Port": 5000,
        "Transport": {"Protocol": "zixi-pull"},
    }
    disabled = {"EntitlementArn": flow["Entitlements"][0]["EntitlementArn"], "EntitlementStatus": "DISABLED"}
    client.update_flow_entitlement(**named, **disabled)
    found = client.update_flow_entitlement(**named, EntitlementArn=disabled["EntitlementArn"], Description="a")["Entitlement"]
    # The reference documents that an omitted status stays, and nothing about the other members.
    assert found == disabled | {"Name": "partner", "Subscribers": [], "Description": "a"}


def test_update_keeps_omitted_members(account: Account, reader: RoleReader) -> None:
    client, other = account.client("mediaconnect"), RoleReader(account, SERVICE, "f" * 64)
    account.assume(omittedOnPut="clear")
    flow = create(account, Sources=[zixi(Decryption=encryption(reader), MaxLatency=500)])
    named = {"FlowArn": flow["FlowArn"], "SourceArn": flow["Source"]["SourceArn"]}
    found = client.update_flow_source(**named, Description="main camera")["Source"]
    assert (found["Decryption"], found["Transport"]) == (encryption(reader), flow["Source"]["Transport"])
    assert failure(client.update_flow_source, **named, Decryption={"Algorithm": "aes256"})[:2] == REFUSED
    changes = {"Algorithm": "aes256", "SecretArn": other.secret, "RoleArn": other.role}
    found = client.update_flow_source(**named, Decryption=changes)["Source"]
    assert found["Decryption"] == encryption(other, "aes256")
    assert found["Description"] == "main camera"
    assert client.describe_flow(FlowArn=flow["FlowArn"])["Flow"]["Source"] == found


def test_outputs_and_entitlements_are_updated(account: Account, reader: RoleReader) -> None:
    client, flow = account.client("mediaconnect"), create(account)
    named = {"FlowArn": flow["FlowArn"]}
    output = client.add_flow_outputs(**named, Outputs=[{"Name": "screen", "Protocol": "zixi-pull"}])["Outputs"][0]
    granted = client.grant_flow_entitlements(**named, Entitlements=[{"Name": "partner", "Subscribers": ["111122223333"]}])
    entitlement = granted["Entitlements"][0]
    arns = {"OutputArn": output["OutputArn"]}, {"EntitlementArn": entitlement["EntitlementArn"]}
    for update, arn in ((client.update_flow_output, arns[0]), (client.update_flow_entitlement, arns[1])):
        reader.permit("describe")
        assert failure(update, **named, **arn, Encryption=encryption(reader))[:2] == REFUSED
        reader.permit("describe", "get", "decrypt")
        update(**named, **arn, Encryption=encryption(reader))
    found = client.describe_flow(**named)["Flow"]
    assert found["Outputs"] == [output | {"Encryption": encryption(reader)}]
    assert found["Entitlements"] == [entitlement | {"Encryption": encryption(reader)}]
    client.remove_flow_output(**named, **arns[0])
    client.revoke_flow_entitlement(**named, **arns[1])
    client.remove_flow_source(**named, SourceArn=flow["Source"]["SourceArn"])
    found = client.describe_flow(**named)["Flow"]
    assert found["Outputs"] == found["Entitlements"] == found["Sources"] == []


def test_flow_must_be_stopped_before_it_is_deleted(account: Account) -> None:
    client, named = account.client("mediaconnect"), {"FlowArn": create(account)["FlowArn"]}
    assert client.start_flow(**named)["Status"] == "STARTING"
    assert client.describe_flow(**named)["Flow"]["Status"] == "ACTIVE"
    assert failure(client.delete_flow, **named)[:2] == REFUSED
    client.stop_flow(**named)
    client.delete_flow(**named)
    assert failure(client.describe_flow, **named)[:2] == ("NotFoundException", 404)


def test_flow_and_tags_are_not_visible_to_another_account(account: Account) -> None:
    flow = create(account)["FlowArn"]
    stranger: Any = boto3.Session("111122223333", "test", region_name="us-east-1")
    client = stranger.client("mediaconnect", endpoint_url=account.local.url)
    assert failure(client.describe_flow, FlowArn=flow)[1] == 404
    assert failure(client.list_tags_for_resource, ResourceArn=flow)[1] == 404
    assert client.list_flows()["Flows"] == []


def test_names_must_be_unique_and_a_flow_requires_a_source(account: Account) -> None:
    flow = create(account)
    assert failure(create, account=account, Name=flow["Name"])[:2] == REFUSED
    assert failure(create, account=account, Sources=[])[:2] == REFUSED
    add = account.client("mediaconnect").add_flow_sources
    assert failure(add, FlowArn=flow["FlowArn"], Sources=[zixi()])[:2] == REFUSED
    assert failure(add, FlowArn=flow["FlowArn"] + "s", Sources=[zixi("other")])[1] == 404


def test_caller_requires_permission_on_flow_and_component(account: Account) -> None:
    flow = create(account)
    arns = {"FlowArn": flow["FlowArn"], "SourceArn": flow["Source"]["SourceArn"]}
    for statements in ([arns["FlowArn"]], [arns["SourceArn"]]):
        caller = account.role(*(allow("mediaconnect:UpdateFlowSource", arn) for arn in statements)).client("mediaconnect")
        assert failure(caller.update_flow_source, **arns, Description="a")[:2] == ("AccessDeniedException", 403)
    caller = account.role(*(allow("mediaconnect:UpdateFlowSource", arn) for arn in arns.values())).client("mediaconnect")
    caller.update_flow_source(**arns, Description="a")


def test_create_flow_with_components_requires_the_permissions_to_add_them(account: Account) -> None:
    needed = [allow(f"mediaconnect:{name}") for name in ("CreateFlow", "AddFlowSources", "AddFlowOutputs", "TagResource")]
    outputs = [{"Name": "screen", "Protocol": "zixi-pull", "OutputTags": {"team": "sports"}}]
    for missing in range(len(needed)):
        caller = account.role(*needed[:missing], *needed[missing + 1 :]).client("mediaconnect")
        assert failure(create, account=account, client=caller, Outputs=outputs)[1] == 403
    create(account, account.role(*needed).client("mediaconnect"), Outputs=outputs)


def test_policy_can_depend_on_tags_of_flow_and_component(account: Account) -> None:
    client, tags = account.client("mediaconnect"), {"team": "sports"}
    flow = create(account, FlowTags=tags)
    source = flow["Source"]["SourceArn"]
    tagged = allow("mediaconnect:*", StringEquals={"aws:ResourceTag/team": "sports"})
    update = account.role(tagged).client("mediaconnect").update_flow_source
    members = {"FlowArn": flow["FlowArn"], "SourceArn": source, "Description": "a"}
    assert failure(update, **members)[1] == 403
    client.tag_resource(ResourceArn=source, Tags=tags)
    update(**members)
    assert client.list_tags_for_resource(ResourceArn=flow["FlowArn"])["Tags"] == tags
    client.untag_resource(ResourceArn=flow["FlowArn"], TagKeys=["team"])
    assert failure(update, **members)[1] == 403


def test_policy_can_require_request_tags(account: Account) -> None:
    demanded = {"StringEquals": {"aws:RequestTag/team": "sports"}}
    statements = [allow("mediaconnect:CreateFlow", **demanded), allow(["mediaconnect:Add*", "mediaconnect:TagResource"])]
    caller = account.role(*statements).client("mediaconnect")
    assert failure(create, account=account, client=caller)[1] == 403
    create(account, caller, FlowTags={"team": "sports"})


def test_source_with_an_entitlement_is_decrypted_without_a_protocol(account: Account, reader: RoleReader) -> None:
    partner = create(account, Entitlements=[{"Name": "partner", "Subscribers": [ACCOUNT]}])
    entitlement = partner["Entitlements"][0]["EntitlementArn"]
    flow = create(account, Sources=[{"Name": "camera", "EntitlementArn": entitlement, "Decryption": encryption(reader)}])
    assert flow["Source"]["EntitlementArn"] == entitlement
    listed = account.client("mediaconnect").list_flows()["Flows"]
    assert [item["SourceType"] for item in listed if item["FlowArn"] == flow["FlowArn"]] == ["ENTITLED"]
    other = RoleReader(account, SERVICE, PASSWORD)
    named = {"FlowArn": flow["FlowArn"], "SourceArn": flow["Source"]["SourceArn"]}
    update = account.client("mediaconnect").update_flow_source
    assert failure(update, **named, Decryption=password(other))[:2] == REFUSED


def test_entitled_source_is_updated_only_while_its_flow_is_stopped(account: Account, reader: RoleReader) -> None:
    client = account.client("mediaconnect")
    partner = create(account, Entitlements=[{"Name": "partner", "Subscribers": [ACCOUNT]}])
    entitled = {"Name": "camera", "EntitlementArn": partner["Entitlements"][0]["EntitlementArn"]}
    flow = create(account, Sources=[entitled], Outputs=[{"Name": "screen", "Protocol": "zixi-pull"}])
    named, own = {"FlowArn": flow["FlowArn"]}, {"SourceArn": flow["Source"]["SourceArn"], "Decryption": encryption(reader)}
    client.start_flow(**named)
    assert failure(client.update_flow_source, **named, **own)[:2] == REFUSED
    client.update_flow_output(**named, OutputArn=flow["Outputs"][0]["OutputArn"], Encryption=encryption(reader))
    client.stop_flow(**named)
    assert client.update_flow_source(**named, **own)["Source"]["Decryption"] == encryption(reader)


def test_other_parts_are_updated_while_their_flow_is_active(account: Account, reader: RoleReader) -> None:
    client = account.client("mediaconnect")
    flow = create(account, Entitlements=[{"Name": "partner", "Subscribers": [ACCOUNT]}])
    named = {"FlowArn": flow["FlowArn"]}
    client.start_flow(**named)
    client.update_flow_source(**named, SourceArn=flow["Source"]["SourceArn"], Decryption=encryption(reader))
    entitlement = flow["Entitlements"][0]["EntitlementArn"]
    client.update_flow_entitlement(**named, EntitlementArn=entitlement, Encryption=encryption(reader))


def test_names_can_contain_any_character(account: Account, reader: RoleReader) -> None:
    client, name = account.client("mediaconnect"), "Tor 1/Süd: #2 100% (?)"
    flow = create(account, Name=f"{account.unique('flow')} {name}", Sources=[zixi(name)])
    named, source = {"FlowArn": flow["FlowArn"]}, flow["Source"]["SourceArn"]
    assert (flow["FlowArn"].endswith(name), source.endswith(name)) == (True, True)
    client.update_flow_source(**named, SourceArn=source, Decryption=encryption(reader))
    [found] = client.describe_flow(**named)["Flow"]["Sources"]
    assert (found["Name"], found["Decryption"]) == (name, encryption(reader))


def test_delete_flow_requires_the_permissions_to_remove_its_components(account: Account) -> None:
    flow = create(account, Entitlements=[{"Name": "partner", "Subscribers": [ACCOUNT]}])["FlowArn"]
    needed = [allow(f"mediaconnect:{name}") for name in ("DeleteFlow", "RemoveFlowSource", "RevokeFlowEntitlement")]
    for missing in range(len(needed)):
        caller = account.role(*needed[:missing], *needed[missing + 1 :]).client("mediaconnect")
        assert failure(caller.delete_flow, FlowArn=flow)[:2] == ("AccessDeniedException", 403)
    account.role(*needed).client("mediaconnect").delete_flow(FlowArn=flow)


def test_entitlement_is_authorized_against_the_flow_and_when_granted_against_both(account: Account) -> None:
    flow = create(account)["FlowArn"]
    granting, partners = allow("mediaconnect:GrantFlowEntitlements", flow), [{"Name": "partner", "Subscribers": [ACCOUNT]}]
    caller = account.role(granting).client("mediaconnect")
    assert failure(caller.grant_flow_entitlements, FlowArn=flow, Entitlements=partners)[1] == 403
    entitlements = flow.replace(":flow:", ":entitlement:").rpartition(":")[0].rpartition(":")[0] + ":*:partner"
    caller = account.role(granting, allow("mediaconnect:GrantFlowEntitlements", entitlements)).client("mediaconnect")
    arn = caller.grant_flow_entitlements(FlowArn=flow, Entitlements=partners)["Entitlements"][0]["EntitlementArn"]
    caller = account.role(allow("mediaconnect:UpdateFlowEntitlement", flow)).client("mediaconnect")
    caller.update_flow_entitlement(FlowArn=flow, EntitlementArn=arn, Description="a")
