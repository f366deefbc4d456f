"""The command line of sources, arbitration, synonyms and forms, against a catalogue that listens."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from catalog_svc.app import create_app
from catalog_svc.claim.consumers import HANDLERS
from dxmesh_client.cli import app as dxmesh
from dxmesh_client.cli.output import Mode
from dxmesh_client.errors import ClientError
from dxmesh_runtime.testing import deliver, listening, make_app
from dxmesh_schemas.catalog_events import ResourcePublished


class Commands:
    """The command line, as the authority's client and as clients of departments use it; it answers with what was printed as JSON."""

    def __init__(self, node: Any, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.node, self.url, self.folder, self.monkeypatch = node, url, folder, monkeypatch
        bootstrap = node.settings.bootstrap
        self.profiles = {"authority": self._profile("authority", bootstrap.client_id, bootstrap.client_secret.get_secret_value())}

    def _profile(self, name: str, client_id: str, secret: str) -> Path:
        services = dict.fromkeys(("catalog", "exchange", "quality", "open_data", "audit"), self.url)
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(services | {"client_id": client_id, "client_secret": secret}), encoding="utf-8")
        return file

    async def department(self, name: str, resource: str, item: str, code: str = "id_number") -> Any:
        """Register an organization with a published resource of one item and a client that acts for it; return the resource."""
        organization = await self.node.organization(name)
        system = await self.node.system(organization, f"{name}系统")
        items = [{"code": code, "name": item, "data_type": "C"}]
        made = await self.node.published(organization, system, name=resource, items=items, key=[])
        path = f"/v1/organizations/{organization['organization_id']}/credentials"
        credential = await self.node.made(path, {"name": "cli", "roles": ["steward"]}, self.node.authority)
        self.profiles[name] = self._profile(name, credential["client_id"], credential["client_secret"])
        return made

    async def __call__(self, who: str, *arguments: str) -> Any:
        self.monkeypatch.setenv("DXMESH_PROFILE", str(self.profiles[who]))
        answer = await asyncio.to_thread(CliRunner().invoke, dxmesh, ["--json", *arguments])
        if answer.exception is not None:
            raise answer.exception
        return json.loads(answer.stdout)


@pytest.fixture
async def cli(node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    async with listening(make_app(create_app, node.settings)) as url:
        monkeypatch.setattr(Mode, "json", False)  # given back as it was
        yield Commands(node, url, tmp_path, monkeypatch)


async def test_a_source_is_claimed_refused_to_another_and_released_from_the_command_line(cli: Commands) -> None:
    population = await cli.department("公安局", "人口信息", "公民身份号码")
    marriages = await cli.department("民政局", "婚姻登记", "身份证号")
    made = await cli("公安局", "source", "claim", population["resource_id"], "id_number")
    assert (made["state"], made["doubtful"]) == ("held", [])
    with pytest.raises(ClientError, match=r"source-held.*公安局.*arbitration"):
        await cli("民政局", "source", "claim", marriages["resource_id"], "id_number")
    assert [one["claim_id"] for one in await cli("民政局", "source", "list", "--state", "held", "--q", "身份")] == [made["claim_id"]]
    with pytest.raises(ClientError, match="403"):
        await cli("民政局", "source", "release", made["claim_id"], "--reason", "x")
    assert (await cli("公安局", "source", "release", made["claim_id"], "--reason", "移交"))["release_reason"] == "移交"
    assert (await cli("authority", "source", "show", made["claim_id"]))["state"] == "released"


async def test_a_refused_claim_is_arbitrated_from_the_command_line(cli: Commands) -> None:
    population = await cli.department("公安局", "人口信息", "公民身份号码")
    marriages = await cli.department("民政局", "婚姻登记", "身份证号")
    await cli("公安局", "source", "claim", population["resource_id"], "id_number")
    case = await cli("民政局", "arbitration", "open", marriages["resource_id"], "id_number", "--statement", "登记时当面核验")
    await cli("公安局", "arbitration", "state", case["case_id"], "--text", "户籍登记机关")
    shown = await cli("民政局", "arbitration", "show", case["case_id"])
    assert [one["text"] for one in shown["statements"]] == ["登记时当面核验", "户籍登记机关"]
    decision = ("arbitration", "decide", case["case_id"], "--outcome", "claimant", "--reason", "核验更完整")
    with pytest.raises(ClientError, match="403"):
        await cli("民政局", *decision)
    assert (await cli("authority", *decision))["outcome"] == "claimant"
    assert [one["case_id"] for one in await cli("公安局", "arbitration", "list", "--state", "decided")] == [case["case_id"]]
    objection = ("arbitration", "object", case["case_id"], "--reason", "法定登记机关")
    with pytest.raises(ClientError, match="403"):
        await cli("民政局", *objection)
    assert (await cli("公安局", *objection))["state"] == "referred"
    withdrawn = await cli("公安局", "arbitration", "withdraw", case["case_id"], "--reason", "已协商一致")
    assert (withdrawn["state"], withdrawn["outcome"]) == ("settled", "claimant")


async def test_synonyms_are_kept_and_names_compared_from_the_command_line(cli: Commands) -> None:
    compare = ("synonym", "compare", "户口本/号牌", "公民身份号码")
    assert (await cli("authority", *compare))["verdict"] == "different"
    assert (await cli("authority", "synonym", "put", "户口本/号牌", "身份证号"))["concept"] == "身份证号"
    assert (await cli("authority", *compare))["verdict"] == "same"
    assert [one["concept"] for one in await cli("authority", "synonym", "list")] == ["身份证号"]
    assert (await cli("authority", "synonym", "remove", "户口本/号牌"))["is_removed"]
    with pytest.raises(ClientError, match="synonym-not-found"):
        await cli("authority", "synonym", "remove", "户口本/号牌")
    shipped = await cli("authority", "synonym", "shipped")
    assert "身份证号" in next(one["terms"] for one in shipped if one["concept"] == "公民身份号码")
    assert await cli("authority", "synonym", "rekey") == {"changed_count": 0}


async def test_a_form_is_entered_from_a_file_and_compared_again_from_the_command_line(cli: Commands, tmp_path: Path) -> None:
    await cli.department("公安局", "人口信息", "公民身份号码")
    await cli.department("民政局", "婚姻登记", "身份证号")
    file = tmp_path / "form.txt"
    file.write_text("身份证号码\n救助金额\n", encoding="utf-8")
    made = await cli("民政局", "form", "enter", "救助申请表", str(file))
    assert [one["outcome"] for one in made["findings"]] == ["new", "new"], "before the catalogue's items are indexed"
    for event in await cli.node.events():
        if isinstance(event, ResourcePublished):
            await deliver(cli.node.sessions, HANDLERS, event)
    again = await cli("民政局", "form", "compare", made["form_id"])
    assert [one["outcome"] for one in again["findings"]] == ["held", "new"]
    assert (await cli("authority", "form", "show", made["form_id"]))["held_count"] == 1
    assert [one["form_id"] for one in await cli("民政局", "form", "list")] == [made["form_id"]]
    assert await cli("公安局", "form", "list") == []
    [repeat] = await cli("authority", "form", "repeats", "--division", "330600")
    assert (repeat["name"], repeat["organization_count"]) == ("公民身份号码", 2)
    with pytest.raises(ClientError, match="another name"):
        await cli("民政局", "form", "enter", "救助申请表", str(file))
