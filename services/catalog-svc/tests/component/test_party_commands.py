"""The command line of officers, systems and taxonomies, against a catalogue that listens."""

import time
from pathlib import Path
from typing import Any

import pytest

from dxmesh_client.errors import ClientError


async def test_offices_are_filled_listed_and_ended_from_the_command_line(node: Any, cli: Any) -> None:
    organization = await node.organization()
    own = organization["organization_id"]
    assert [one["organization_id"] for one in await cli("officer", "vacancies")] == [own]
    made = await cli("officer", "appoint", own, "--role", "cdo", "--holder", "cdo-account", "--since", "2026-01-01")
    assert (made["role"], made["since"], made["until"]) == ("cdo", "2026-01-01", None)
    ended = await cli("officer", "end", own, made["officer_id"], "--reason", "轮岗", "--until", "2026-02-01")
    assert ended["until"] == "2026-02-01"
    assert [one["officer_id"] for one in await cli("officer", "list", own)] == [made["officer_id"]]
    with pytest.raises(ClientError, match="is not a day"):
        await cli("officer", "appoint", own, "--role", "cdo", "--holder", "cdo-account", "--since", "tomorrow")


async def test_a_system_takes_its_steps_from_the_command_line(node: Any, cli: Any) -> None:
    organization, system = await node.provider()
    with pytest.raises(ClientError, match="POST /v1/resources"):
        await cli("system", "service", system["system_id"])
    await node.published(organization, system)
    assert (await cli("system", "service", system["system_id"], "--reason", "验收"))["state"] == "in_service"
    with pytest.raises(ClientError, match="withdraw them"):
        await cli("system", "retire", system["system_id"], "--reason", "关停")


async def test_where_a_system_runs_is_said_from_the_command_line(node: Any, cli: Any) -> None:
    system = await node.system(await node.organization(), on_gov_cloud=None)
    assert (await cli("system", "place", system["system_id"], "--off-gov-cloud"))["on_gov_cloud"] is False
    assert (await cli("system", "place", system["system_id"], "--on-gov-cloud"))["on_gov_cloud"] is True
    assert [row["system_name"] for row in (await cli("report", "off-cloud"))["rows"]] == []


async def test_taxonomies_are_listed_and_entered_from_the_command_line(cli: Any) -> None:
    top = await cli("taxonomy", "add", "T1", "--name", "社会治理")
    await cli("taxonomy", "add", "T1.1", "--name", "网格", "--parent", top["taxonomy_id"])
    assert [one["code"] for one in await cli("taxonomy", "list", "--kind", "theme")] == ["T1", "T1.1"]
    assert len(await cli("taxonomy", "list")) == 10
    with pytest.raises(ClientError, match="is the code of"):
        await cli("taxonomy", "add", "t1", "--name", "又一库")


async def test_a_base_database_is_begun_from_its_template_on_the_command_line(node: Any, cli: Any, tmp_path: Path) -> None:
    organization, system = await node.provider()
    file = tmp_path / "licences.ndjson"
    given = ("--system", system["name"], "--steward", "证照科", "--file", str(file))
    made = await cli("catalog", "template", "Base-E-Licence", *given)
    assert made["standards"][0]["number"] == "GB/T 36903-2018"
    answer = await cli("catalog", "import", str(file), "--provider", organization["uscc"])
    assert (answer["entered"], answer["refusals"]) == (1, [])
    entered = (await node.client.get("/v1/resources", params={"q": "电子证照"}, headers=node.authority)).json()["items"]
    assert [one["item_count"] for one in entered] == [made["items"]]
    assert (await cli("report", "taxonomies"))["summary"]["base_count"] == 8
    assert (await cli("report", "lineage"))["summary"] == {"derived_count": 0, "with_base_count": 0, "with_base_ratio": None}
    deadline = time.monotonic() + 20
    while not (found := await cli("catalog", "search", "电子证照", "--taxonomy", "base-e-licence")):
        assert time.monotonic() < deadline, "what was entered is found a moment later"
    assert [one["name"] for one in found] == [entered[0]["name"]]
    assert await cli("catalog", "search", "电子证照", "--taxonomy", "base-credit") == []
    with pytest.raises(FileExistsError):
        await cli("catalog", "template", "base-credit", *given)
    for code, reason in (("none", "has the code"), ("T1", "no template comes along")):
        if code == "T1":
            await cli("taxonomy", "add", "T1", "--name", "社会治理")
        with pytest.raises(ClientError, match=reason):
            await cli("catalog", "template", code, "--system", "x", "--file", str(tmp_path / "other.ndjson"))
    assert not (tmp_path / "other.ndjson").exists()
