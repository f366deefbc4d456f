"""The command line of officers, systems and taxonomies, against a catalogue that listens."""

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


async def test_taxonomies_are_listed_and_entered_from_the_command_line(cli: Any) -> None:
    top = await cli("taxonomy", "add", "T1", "--name", "社会治理")
    await cli("taxonomy", "add", "T1.1", "--name", "网格", "--parent", top["taxonomy_id"])
    assert [one["code"] for one in await cli("taxonomy", "list", "--kind", "theme")] == ["T1", "T1.1"]
    assert len(await cli("taxonomy", "list")) == 10
    with pytest.raises(ClientError, match="is the code of"):
        await cli("taxonomy", "add", "t1", "--name", "又一库")
