"""The CKAN face, called by the real `ckanapi` client on a listening server, and everything that can be wrong with a call."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import ckanapi
import pytest

from dxmesh_runtime.testing import listening
from dxmesh_schemas.catalog import OrganizationRef

NAME = "307001-000123"


@pytest.fixture
async def site(open_data: Any) -> AsyncIterator[str]:
    """Yield the address of the service listening on a free port."""
    async with listening(open_data.app) as url:
        yield url


@pytest.mark.parametrize("get_only", [False, True])
async def test_the_ckanapi_client_lists_shows_searches_and_reads_rows(open_data: Any, site: str, get_only: bool) -> None:
    await open_data.opened()
    ckan = ckanapi.RemoteCKAN(site, get_only=get_only)

    def use() -> None:
        assert ckan.action.package_list() == [NAME]
        package = ckan.action.package_show(id=NAME)
        assert package["title"] == "全市街道名录"
        assert package["organization"]["title"] == "市民政局"
        assert {one["format"] for one in package["resources"]} == {"CSV", "JSON", "Parquet"}
        assert ckan.action.package_search(q="街道")["count"] == 1
        assert ckan.action.package_search(q="航天")["count"] == 0
        csv = next(one for one in package["resources"] if one["format"] == "CSV")
        rows = ckan.action.datastore_search(resource_id=csv["id"], limit=3, sort="code desc")
        assert rows["total"] == 20
        assert [row["code"] for row in rows["records"]] == ["330600019", "330600018", "330600017"]
        assert ckan.action.site_read() is True
        assert ckan.action.status_show()["site_url"] == site
        with pytest.raises(ckanapi.NotFound):
            ckan.action.package_show(id="nothing")
        with pytest.raises(ckanapi.ValidationError):
            ckan.action.datastore_search(resource_id=csv["id"], limit="many")
        with pytest.raises(ckanapi.SearchQueryError):
            ckan.action.package_search(fq="colour:red")

    await asyncio.to_thread(use)
    ckan.close()


async def test_the_url_of_a_resource_is_a_file_with_the_size_and_hash_it_says(open_data: Any) -> None:
    await open_data.opened()
    package = await open_data.action("package_show", id=NAME)
    for one in package["resources"]:
        file = await open_data.client.get(one["url"])
        assert len(file.content) == one["size"]
        assert file.headers["etag"] == f'"{one["hash"]}"'


async def test_get_and_post_and_both_addresses_answer_alike(open_data: Any) -> None:
    await open_data.opened()
    client = open_data.client
    answers = [
        await client.get("/api/3/action/package_show", params={"id": NAME}),
        await client.get("/api/action/package_show", params={"id": NAME}),
        await client.post("/api/3/action/package_show", json={"id": NAME}),
        await client.post("/api/3/action/package_show", data={"id": NAME}),
        await client.post(
            "/api/3/action/package_show", content=json.dumps({"id": NAME}), headers={"Content-Type": "application/x-www-form-urlencoded"}
        ),
    ]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    body = answers[0].json()
    assert body["success"] is True
    assert body["help"].endswith("/api/3/action/help_show?name=package_show")


async def test_datasets_are_found_by_field_facet_and_order(open_data: Any) -> None:
    traffic = OrganizationRef(
        organization_id=open_data.resource().resource_id, uscc="12330600MB0000002X", name="交通局", division_code="330600"
    )
    await open_data.opened(open_data.streets(9), name="街道名录", resource_code="streets")
    await open_data.opened(open_data.streets(5), name="公交 站点", resource_code="stops", provider=traffic, open_theme="交通出行")

    async def names(**parameters: Any) -> list[str]:
        return [one["name"] for one in (await open_data.action("package_search", **parameters))["results"]]

    assert await names() == ["stops", "streets"]
    assert await names(q="*:*", sort="name desc") == ["streets", "stops"]
    assert await names(sort="metadata_created asc") == ["streets", "stops"]
    assert await names(fq="organization:12330600mb0000002x") == ["stops"]
    assert await names(fq='organization:"交通局"') == ["stops"]
    assert await names(fq="-organization:交通局") == ["streets"]
    assert await names(fq="tags:交通出行") == ["stops"]
    assert await names(fq="res_format:CSV") == ["stops", "streets"]
    assert await names(fq="res_format:XLSX") == []
    assert await names(fq="name:(streets OR other)") == ["streets"]
    assert await names(fq_list=["res_format:CSV", "tags:交通出行"]) == ["stops"]
    assert await names(q="title:公交") == ["stops"]
    assert await names(q='"公交 站点"') == ["stops"]
    assert await names(rows=1, start=1) == ["streets"]
    assert await names(rows=0) == []
    found = await open_data.action("package_search", **{"facet.field": ["organization", "tags", "res_format"], "rows": 0})
    assert found["count"] == 2
    assert found["facets"]["organization"] == {"11330600mb1573660p": 1, "12330600mb0000002x": 1}
    assert found["facets"]["res_format"] == {"CSV": 2, "JSON": 2, "PARQUET": 2}
    assert {one["display_name"] for one in found["search_facets"]["organization"]["items"]} == {"市民政局", "交通局"}
    by_get = await open_data.client.get("/api/3/action/package_search", params={"facet.field": '["tags"]', "rows": "0"})
    assert by_get.json()["result"]["facets"]["tags"] == {"交通出行": 1, "机构团体": 1}


@pytest.mark.parametrize("q", ["%", "_", "\\", "a_b", "\0", '"', "((", "+-", "🦀", ":", "::", "title:", "-", "AND", "x" * 5_000])
async def test_odd_searches_find_nothing_or_everything_but_never_fail(open_data: Any, q: str) -> None:
    await open_data.opened()
    for parameters in ({"q": q}, {"fq": q}):
        answer = await open_data.client.post("/api/3/action/package_search", json=parameters)
        assert answer.status_code in (200, 400), answer.text
        assert answer.json()["success"] is (answer.status_code == 200)


async def test_rows_are_filtered_searched_ordered_and_paged(open_data: Any) -> None:
    await open_data.opened()

    async def codes(**parameters: Any) -> list[str]:
        result = await open_data.action("datastore_search", resource_id=NAME, fields=["code"], **parameters)
        return [row["code"][-2:] for row in result["records"]]

    assert await codes(limit=3) == ["00", "01", "02"]
    assert await codes(limit=2, offset=18) == ["18", "19"]
    assert await codes(limit=2, offset=40) == []
    assert await codes(filters={"code": "330600007"}) == ["07"]
    assert await codes(filters={"people": 21}) == ["03"]
    assert await codes(filters={"people": ["21", 28]}) == ["03", "04"]
    assert await codes(filters='{"since": "2001-05-04"}') == ["03"]
    assert await codes(filters={"area": "0.05"}) == ["05"]
    assert await codes(filters={"urban": True}, limit=2) == ["00", "02"]
    assert await codes(filters={"seen": "2026-01-01T08:30:00Z"}, limit=1) == ["00"]
    assert await codes(filters={"name": None}) == []
    assert await codes(q="街道 13") == ["12", "13", "19"]  # also 2001-05-13 and 133 people
    assert await codes(q={"name": "13"}) == ["13"]
    assert await codes(q="%") == []
    assert await codes(sort="urban desc, code desc", limit=2) == ["18", "16"]
    assert await codes(sort="_id desc", limit=1) == ["19"]
    page = await open_data.action("datastore_search", resource_id=NAME, limit=2, offset=4, filters={"urban": False})
    assert page["total"] == 10
    assert page["records"][0] == {
        "_id": 10,
        "code": "330600009",
        "name": "街道 9",
        "people": 63,
        "area": 0.09,
        "since": "2001-05-10",
        "seen": "2026-01-01T08:30:00Z",
        "urban": False,
    }
    assert [one["type"] for one in page["fields"]] == ["int", "text", "text", "int8", "numeric", "date", "timestamptz", "bool"]
    assert page["fields"][1]["info"] == {"label": "代码", "notes": ""}
    assert page["_links"]["next"].endswith("offset=6&limit=2")
    following = (await open_data.client.get(page["_links"]["next"])).json()["result"]
    assert [row["_id"] for row in following["records"]] == [14, 16]


async def test_rows_come_as_lists_or_text_and_without_a_total_when_asked(open_data: Any) -> None:
    await open_data.opened()
    shape: dict[str, Any] = {"resource_id": NAME, "fields": "code,people", "limit": 2}
    assert (await open_data.action("datastore_search", **shape, records_format="lists"))["records"] == [["330600000", 0], ["330600001", 7]]
    assert (await open_data.action("datastore_search", **shape, records_format="csv"))["records"] == "330600000,0\n330600001,7\n"
    assert "total" not in await open_data.action("datastore_search", **shape, include_total=False)
    distinct = await open_data.action("datastore_search", resource_id=NAME, fields=["urban"], distinct=True, sort="urban")
    assert distinct["records"] == [{"urban": False}, {"urban": True}]
    assert distinct["total"] == 2


async def test_a_dataset_answers_by_its_id_and_by_each_of_its_resources(open_data: Any) -> None:
    await open_data.opened()
    package = await open_data.action("package_show", id=NAME)
    for identity in (package["id"], package["name"], *(one["id"] for one in package["resources"])):
        assert (await open_data.action("datastore_search", resource_id=identity, limit=0))["total"] == 20
    assert (await open_data.client.get("/v1/statistics")).json()["queries"] == 5


async def test_a_huge_limit_is_cut_to_what_ckan_gives(open_data: Any) -> None:
    await open_data.opened(open_data.streets(40_000))
    result = await open_data.action("datastore_search", resource_id=NAME, limit=10**12)
    assert result["limit"] == 32_000
    assert len(result["records"]) == 32_000
    assert result["total"] == 40_000


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"limit": "many"}, "limit"),
        ({"limit": -1}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"offset": "x"}, "offset"),
        ({"filters": "{"}, "filters"),
        ({"filters": []}, "filters"),
        ({"filters": {"colour": 1}}, "filters"),
        ({"filters": {"people": "many"}}, "filters"),
        ({"filters": {"since": "yesterday"}}, "filters"),
        ({"filters": {"code": {"a": 1}}}, "filters"),
        ({"filters": {"phone": "1390000"}}, "filters"),
        ({"fields": ["phone"]}, "fields"),
        ({"fields": [1]}, "fields"),
        ({"sort": "phone"}, "sort"),
        ({"sort": "code; DROP TABLE dataset"}, "sort"),
        ({"q": {"colour": "x"}}, "q"),
        ({"q": [1]}, "q"),
        ({"include_total": "perhaps"}, "include_total"),
        ({"records_format": "xml"}, "records_format"),
    ],
)
async def test_wrong_parameters_are_validation_errors_naming_them(open_data: Any, parameters: dict[str, Any], named: str) -> None:
    await open_data.opened()
    error = await open_data.action("datastore_search", 409, resource_id=NAME, **parameters)
    assert error["__type"] == "Validation Error"
    assert named in error


async def test_a_missing_name_is_a_validation_error_and_an_unknown_one_is_not_found(open_data: Any) -> None:
    assert "id" in await open_data.action("package_show", 409)
    assert "resource_id" in await open_data.action("datastore_search", 409)
    for action, parameter in (("package_show", "id"), ("datastore_search", "resource_id")):
        for unknown in ("nothing", "\0", "../etc", "00000000-0000-0000-0000-000000000000", 7):
            assert (await open_data.action(action, 404, **{parameter: unknown}))["__type"] == "Not Found Error"


async def test_a_retired_dataset_is_not_found(open_data: Any) -> None:
    resource = await open_data.opened()
    package = await open_data.action("package_show", id=NAME)
    await open_data.withdraw(resource)
    assert await open_data.action("package_list") == []
    assert (await open_data.action("package_search"))["count"] == 0
    await open_data.action("package_show", 404, id=NAME)
    await open_data.action("datastore_search", 404, resource_id=package["resources"][0]["id"])


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"x"', b"\xff\xfe", b'{"id": "\\ud800"}', b"{" * 100_000, b"x" * 1_100_000])
async def test_a_body_that_cannot_be_read_is_a_bad_request(open_data: Any, body: bytes) -> None:
    answer = await open_data.client.post("/api/3/action/package_show", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json().startswith("Bad request")


async def test_an_unknown_action_is_a_bad_request_as_in_ckan(open_data: Any) -> None:
    for action in ("package_create", "datastore_search_sql", "__class__", "%00"):
        answer = await open_data.client.get(f"/api/3/action/{action}")
        assert answer.status_code == 400
        assert answer.json().startswith("Bad request - Action name not known")


async def test_every_action_says_what_it_does(open_data: Any) -> None:
    assert "q, fq" in await open_data.action("help_show", name="package_search")
    await open_data.action("help_show", 404, name="nothing")


async def test_names_and_publishers_and_themes_are_listed(open_data: Any) -> None:
    await open_data.opened(resource_code="b")
    await open_data.opened(resource_code="streets")
    assert await open_data.action("package_list", limit=1, offset=1) == ["streets"]
    assert await open_data.action("organization_list") == ["11330600mb1573660p"]
    assert await open_data.action("tag_list") == ["机构团体"]
    await open_data.action("package_list", 409, limit="x")
