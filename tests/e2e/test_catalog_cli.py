"""The catalogue from the command line against a running mesh: a whole catalogue brought in and found, sources, forms and mounts."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from dxmesh_local.mesh import Mesh
from tests.e2e.node import Node, until
from tests.e2e.person import Person

_TABLES = """
CREATE SCHEMA archive_of_marriages;
CREATE TABLE archive_of_marriages.registration (number varchar(20) PRIMARY KEY, registered_on date, id_number char(18), note text);
COMMENT ON TABLE archive_of_marriages.registration IS '婚姻登记档案';
COMMENT ON COLUMN archive_of_marriages.registration.number IS '登记证号';
COMMENT ON COLUMN archive_of_marriages.registration.registered_on IS '登记日期';
COMMENT ON COLUMN archive_of_marriages.registration.id_number IS '当事人身份证号';
"""
_GUIDE = """\
信息资源分类,信息资源名称,信息资源摘要,信息项名称,信息项代码,数据类型,数据长度,共享类型,是否向社会开放,更新周期,数据管理员
3/30/102/01,婚姻登记,结婚与离婚的登记,身份证号,sfzh,字符型C,18,无条件共享,否,每日,档案科
,,,登记日期,registered_on,日期型D,,,,,
3/30/102/01,收养登记,收养的登记,登记日期,registered_on,日期型X,,无条件共享,否,每年,档案科
"""


def _person(folder: Path, profile: str) -> Person:
    person = Person(folder)
    person.profile.write_text(profile, encoding="utf-8")
    return person


@pytest.fixture(scope="module")
def authority(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Person:
    return _person(tmp_path_factory.mktemp("authority"), node.profile.model_dump_json())


@pytest.fixture(scope="module")
def civil(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Return a department that enters, approves and publishes, with a system."""
    department = node.department("目录民政局", "steward", "cdo", "authority")
    person = _person(tmp_path_factory.mktemp("civil"), department.client.profile.model_dump_json())
    assert person("system", "register", "目录民政系统").code == 0
    return person


@pytest.fixture(scope="module")
def archive(mesh: Mesh) -> Iterator[str]:
    """Yield the address of a database with a schema of a department's tables."""
    url = mesh.database_url("catalog_svc").replace("+asyncpg", "")

    async def run(statements: str) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(statements)
        await connection.close()

    asyncio.run(run(_TABLES))
    yield url
    asyncio.run(run("DROP SCHEMA archive_of_marriages CASCADE"))


@pytest.fixture(scope="module")
def marriages(civil: Person) -> str:
    """Import a department's catalogue, one row of which is bad; return the id of the resource that is in force."""
    (civil.folder / "catalog.csv").write_text(_GUIDE, encoding="utf-8")
    given = ("catalog", "import", "catalog.csv", "--system", "目录民政系统", "--report", "report.csv", "--json")
    draft = civil(*given)
    assert draft.code == 1, draft
    result = json.loads(draft.out)
    assert (result["entered"], result["refused"]) == (1, 1)
    [refusal] = result["refusals"]
    assert (refusal["row"], refusal["column"]) == (4, "数据类型")
    assert "日期型X" in (civil.folder / "report.csv").read_text(encoding="utf-8-sig")
    (civil.folder / "good.csv").write_text("".join(_GUIDE.splitlines(keepends=True)[:3]), encoding="utf-8")
    papers = {
        "secrecy_risk": {"outcome": "passed", "assessed_by": "保密办"},
        "personal_information": {"outcome": "none", "assessed_by": "法规处"},
    }
    (civil.folder / "assessments.json").write_text(json.dumps(papers, ensure_ascii=False), encoding="utf-8")
    again = ("catalog", "import", "good.csv", "--system", "目录民政系统", "--until", "published", "--assessments", "assessments.json")
    assert "refusals" in civil(*again, "--json").json
    [found] = [one for one in civil("resource", "list", "--q", "婚姻登记", "--json").json if one["state"] == "published"]
    assert (found["name"], found["version"]) == ("婚姻登记", 1)
    resource_id: str = found["resource_id"]
    return resource_id


def test_a_catalogue_is_imported_and_found(civil: Person, marriages: str) -> None:
    def found() -> list[Any]:
        return [one for one in civil("catalog", "search", "婚姻 登记日期", "--json").json if one["resource_id"] == marriages]

    until(found, 30, "what is imported is not found")
    assert "婚姻登记" in civil("catalog", "search", "婚姻登记").out
    refused = civil("catalog", "import", "good.csv", "--system", "没有的系统")
    assert (refused.code, "没有的系统" in refused.out) == (1, True), refused


def test_a_database_is_scanned_to_a_draft_that_is_imported(civil: Person, archive: str) -> None:
    given = ("--system", "目录民政系统", "--class-path", "3/30/102/01", "--schema", "archive_of_marriages")
    drafted = civil("catalog", "scan", archive, *given, "--file", "draft.ndjson", "--json").json
    assert (drafted["resources"], drafted["items"]) == (1, 4)
    assert [one["column"] for one in drafted["look_at"]]
    civil("catalog", "scan", archive, *given, "--file", "draft.ndjson").failed(1, "draft.ndjson")
    civil("catalog", "scan", archive, *given[:4], "--schema", "not_there").failed(1, "no table")
    assert civil("catalog", "import", "draft.ndjson", "--json").json["entered"] == 1
    [found] = civil("resource", "list", "--q", "婚姻登记档案", "--json").json
    assert (found["name"], found["state"]) == ("婚姻登记档案", "draft")


def test_a_source_is_claimed_disputed_and_given_up_with_its_resource(
    node: Node, authority: Person, civil: Person, marriages: str, tmp_path: Path
) -> None:
    police = node.department("目录公安局")
    items = [{"code": "id_number", "name": "公民身份号码", "data_type": "C", "length": 18}]
    population = str(node.resource(police, "目录人口信息", items))
    officer = _person(tmp_path, police.client.profile.model_dump_json())
    claim = officer("source", "claim", population, "id_number", "--json").json
    assert claim["state"] == "held"
    civil("source", "claim", marriages, "sfzh").failed(1, "source-held", "目录公安局")
    case = civil("arbitration", "open", marriages, "sfzh", "--statement", "婚姻登记时当面核验", "--json").json
    assert case["due_on"]
    assert officer("arbitration", "state", case["case_id"], "--text", "法定登记机关").code == 0
    officer("arbitration", "decide", case["case_id"], "--outcome", "holder", "--reason", "x").failed(1, "403")
    decided = authority("arbitration", "decide", case["case_id"], "--outcome", "claimant", "--reason", "核验更完整", "--json").json
    assert (decided["state"], decided["outcome"]) == ("decided", "claimant")
    officer("arbitration", "withdraw", case["case_id"], "--reason", "x").failed(1, "409")
    assert officer("arbitration", "object", case["case_id"], "--reason", "法定职责", "--json").json["state"] == "referred"
    listed = officer("arbitration", "list", "--state", "referred")
    assert case["case_id"] in listed.out
    assert "法定登记机关" in officer("arbitration", "show", case["case_id"]).out
    [held] = civil("source", "list", "--resource", marriages, "--state", "held", "--json").json
    assert civil("source", "show", held["claim_id"], "--json").json["case_id"] == case["case_id"]
    officer("source", "release", held["claim_id"], "--reason", "x").failed(1, "403")
    assert officer("resource", "withdraw", population, "--reason", "停办").code == 0
    assert civil("source", "release", held["claim_id"], "--reason", "移交", "--json").json["state"] == "released"
    assert authority("arbitration", "show", case["case_id"], "--json").json["state"] == "settled"


def test_a_form_learns_from_the_running_catalogue_what_is_held(authority: Person, civil: Person, marriages: str) -> None:
    (civil.folder / "form.txt").write_text("结婚登记日期\n身份证号码\n养老金额\n", encoding="utf-8")
    made = civil("form", "enter", "补贴申请表", "form.txt", "--json").json

    def held() -> list[str]:
        again = civil("form", "compare", made["form_id"], "--json").json
        return [one["name"] for one in again["findings"] if one["outcome"] == "held"]

    until(lambda: "身份证号码" in held(), 30, "the catalogue's items are not compared")
    shown = civil("form", "show", made["form_id"])
    assert "婚姻登记" in shown.out
    assert made["form_id"] in authority("form", "list").out
    assert civil("form", "repeats").code == 0
    (civil.folder / "empty.txt").write_text("\n", encoding="utf-8")
    civil("form", "enter", "空表", "empty.txt").failed(1, "holds no item")


def test_synonyms_are_kept_by_the_authority_alone(authority: Person, civil: Person) -> None:
    assert authority("synonym", "put", "户口本号牌", "身份证号", "--json").json["concept"] == "身份证号"
    assert "same" in civil("synonym", "compare", "户口本号牌", "公民身份号码").out
    assert "户口本号牌" in authority("synonym", "list").out
    assert authority("synonym", "remove", "户口本号牌").code == 0
    authority("synonym", "remove", "户口本号牌").failed(1, "404")
    assert authority("synonym", "rekey", "--json").json == {"changed_count": 0}
    assert "公民身份号码" in civil("synonym", "shipped").out


def test_a_resource_is_mounted_and_shown_to_supply_data(authority: Person, civil: Person, marriages: str) -> None:
    assert marriages in civil("mount", "list", "--state", "unmounted").out
    civil("mount", "proxy", marriages, "--address", "http://user:word@10.0.0.1/").failed(1, "user name or password")
    assert civil("mount", "proxy", marriages, "--address", "http://10.0.0.1/share", "--json").json["state"] == "declared"
    assert authority("mount", "confirm", marriages, "--evidence", "返回 200", "--json").json["state"] == "supplied"
    assert authority("mount", "rate", "--json").json["total"]["supplied_count"] >= 1
    assert civil("mount", "remove", marriages, "--reason", "停用", "--json").json["state"] == "unmounted"
    assert civil("mount", "replica", marriages, "--json").json["kind"] == "replica"
    assert civil("mount", "stale").code == 0
