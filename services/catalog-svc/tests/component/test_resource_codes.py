"""Resource codes: one scheme a node, the national one unless another is named; no code is ever another resource's."""

import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from catalog_svc.app import create_app
from catalog_svc.resource.codes import SCHEMES, scheme_named
from dxmesh_runtime.testing import serving


@pytest.fixture
def brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that installs a package with schemes, given the text of its module."""

    def install(module: str, *names: str) -> None:
        (tmp_path / "province_codes.py").write_text(f"from catalog_svc.resource.codes import CodeScheme\n{module}\n", encoding="utf-8")
        info = tmp_path / "province_codes-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: province-codes\nVersion: 1.0\n")
        points = "\n".join(f"{name} = province_codes:{name}" for name in names)
        (info / "entry_points.txt").write_text(f"[dxmesh.code_schemes]\n{points}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "province_codes", raising=False)

    return install


def with_scheme(node: Any, name: str) -> Any:
    return node.settings.model_copy(update={"resource": node.settings.resource.model_copy(update={"code_scheme": name})})


def test_the_national_scheme_is_the_default(node: Any) -> None:
    assert node.settings.resource.code_scheme == "national"
    assert scheme_named("national").code(scheme_named("national").prefix("3/30/102/01", ""), 7) == "33010201/000007"


@pytest.mark.parametrize("name", SCHEMES)
def test_a_scheme_gives_each_number_of_a_prefix_a_code_of_its_own(name: str) -> None:
    scheme = SCHEMES[name]
    paths = ("1", "1/01", "1/10", "1/01/001", "1/01/010", "1/01/001/1", "1/01/001/01", "2", "3/30/102/01", "3/30/102/011")
    prefixes = {scheme.prefix(path, uscc) for path, uscc in product(paths, ("11330600MB1573660P", "11330600002577014T"))}
    codes = [scheme.code(prefix, number) for prefix in prefixes for number in (1, 10, 999_999, 1_000_000, 10_000_001)]
    assert len(set(codes)) == len(codes)


async def test_a_code_reused_after_withdrawal_is_refused_by_hand_and_never_given(node: Any, is_problem: Any, good_entry: Any) -> None:
    organization, system = await node.provider()
    steward = node.steward(organization)
    gone = await node.published(organization, system)
    withdrawn = await node.client.post(f"/v1/resources/{gone['resource_id']}/withdrawal", json={"reason": "职责调整"}, headers=steward)
    assert withdrawn.json()["resource_code"] == gone["resource_code"], "it keeps its code"
    for method, path in (("POST", "/v1/resources"), ("PUT", f"/v1/resources/{gone['resource_id']}")):
        entry = good_entry(system, resource_code=gone["resource_code"])
        wrong = is_problem(await node.client.request(method, path, json=entry, headers=steward), 422)
        assert [error["pointer"] for error in wrong["errors"]] == ["/resource_code"]
    other = await node.organization("绍兴市水利局")
    for provider in (organization, other):
        made = await node.resource(provider, await node.system(provider, f"{provider['name']}的系统"), name="同类资源")
        assert made["resource_code"] != gone["resource_code"]
    with pytest.raises(IntegrityError):  # whatever a scheme does, the table holds a code once
        async with node.sessions.begin() as tx:
            await tx.execute(text("UPDATE resource SET resource_code = :code"), {"code": gone["resource_code"]})


async def test_a_scheme_that_is_changed_and_changed_back_gives_no_code_again(node: Any) -> None:
    organization, system = await node.provider()
    codes = []
    for number, name in enumerate(("national", "provider", "national", "provider")):
        async with serving(create_app(with_scheme(node, name))) as client:
            node.client = client
            codes.append((await node.resource(organization, system, name=f"第{number}册"))["resource_code"])
    uscc = organization["uscc"]
    assert codes == ["33010201/000001", f"{uscc}/000001", "33010201/000002", f"{uscc}/000002"]


async def test_a_package_brings_a_scheme_of_a_provinces_own(node: Any, brought: Any) -> None:
    brought("zhejiang = CodeScheme(prefix=lambda path, uscc: f'ZJ-{uscc[2:8]}', code=lambda prefix, n: f'{prefix}-{n:05d}')", "zhejiang")
    organization, system = await node.provider()
    async with serving(create_app(with_scheme(node, "zhejiang"))) as client:
        node.client = client
        made = [await node.published(organization, system, name=name) for name in ("甲册", "乙册")]
    assert [one["resource_code"] for one in made] == ["ZJ-330600-00001", "ZJ-330600-00002"]


async def test_a_node_does_not_start_with_a_scheme_that_is_not_there_or_gives_a_code_twice(node: Any, brought: Any) -> None:
    brought("same = CodeScheme(prefix=lambda path, uscc: uscc, code=lambda prefix, n: prefix)\nnone = 'no scheme'", "same", "none")
    for name, said in (("provincial", "there are: national, provider, none, same"), ("same", "to two resources"), ("none", "is a str")):
        with pytest.raises(ValueError, match=said):
            create_app(with_scheme(node, name))
