"""Assessments and rules over HTTP: who sees what, page by page."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import polars as pl
import pytest

from dxmesh_runtime.settings import DashboardSettings, DatabaseSettings, KafkaSettings, ObjectStoreSettings
from dxmesh_runtime.testing import Tokens, make_app, serving
from dxmesh_schemas.catalog import DataItem, DataType, ResourceSnapshot
from quality_svc.app import create_app
from quality_svc.settings import Settings

MakeResource = Callable[..., ResourceSnapshot]
FrameOf = Callable[..., pl.DataFrame]
OWNER, OTHER = UUID(int=1), UUID(int=8)
NAME = DataItem(code="name", name="名称", data_type=DataType.TEXT, required=True, length=4)


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
async def http(quality: Any, tokens: Tokens) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        database=DatabaseSettings(url=quality.url),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        auth=tokens.auth_settings(),
        object_store=ObjectStoreSettings(url=quality.objects.url),
        dashboard=DashboardSettings(loopback_open=False),
    )
    async with serving(make_app(create_app, settings)) as client:
        yield client


@pytest.fixture
async def resource(quality: Any, make_resource: MakeResource, frame_of: FrameOf) -> ResourceSnapshot:
    resource = make_resource(NAME, key=("name",), max_quarantined_ratio=0.5)
    await quality.publish(resource)
    await quality.take(*(quality.received(resource, frame_of(resource, [{"name": "街道"}, {"name": "toolong"}])) for _ in range(5)))
    return resource


async def test_a_provider_reads_its_assessments_page_by_page(
    quality: Any, http: httpx.AsyncClient, tokens: Tokens, resource: ResourceSnapshot
) -> None:
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await http.get("/v1/assessments", params={"limit": 2, **cursor}, headers=tokens.issue(OWNER, "steward"))).json()
        seen += [item["assessment_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert sorted(seen) == sorted(str(event.assessment_id) for event in await quality.completed())
    one = (await http.get(f"/v1/assessments/{seen[0]}", headers=tokens.issue(OWNER))).json()
    assert (one["outcome"], one["received_count"], one["quarantined_count"]) == ("accept_part", 2, 1)
    assert {result["rule"] for result in one["results"] if result["failed_count"]} == {"length"}
    of_batch = await http.get(f"/v1/batches/{one['batch_id']}/assessment", headers=tokens.issue(OWNER))
    assert of_batch.json() == one


@pytest.mark.parametrize("role", ["authority", "auditor"])
async def test_authority_and_auditors_read_everyones(
    http: httpx.AsyncClient, tokens: Tokens, resource: ResourceSnapshot, role: str
) -> None:
    found = await http.get("/v1/assessments", params={"resource_id": str(resource.resource_id)}, headers=tokens.issue(None, role))
    assert len(found.json()["items"]) == 5
    none = await http.get("/v1/assessments", params={"resource_id": str(uuid4())}, headers=tokens.issue(None, role))
    assert none.json() == {"items": [], "next_cursor": None}


async def test_anothers_assessment_is_the_same_404_as_one_that_is_not_there(
    quality: Any, http: httpx.AsyncClient, tokens: Tokens, resource: ResourceSnapshot
) -> None:
    event = (await quality.completed())[0]
    foreign = tokens.issue(OTHER, "steward")
    assert (await http.get("/v1/assessments", headers=foreign)).json()["items"] == []
    for path, absent in (
        (f"/v1/assessments/{event.assessment_id}", f"/v1/assessments/{uuid4()}"),
        (f"/v1/batches/{event.batch_id}/assessment", f"/v1/batches/{uuid4()}/assessment"),
    ):
        hidden, missing = await http.get(path, headers=foreign), await http.get(absent, headers=foreign)
        assert hidden.status_code == missing.status_code == 404
        assert hidden.json()["type"] == missing.json()["type"]
        assert hidden.headers["content-type"] == "application/problem+json"
        texts = [answer.json()["detail"].replace(url.split("/")[3], "…") for answer, url in ((hidden, path), (missing, absent))]
        assert texts[0] == texts[1]


async def test_rules_are_readable_with_any_token_and_without_one_nothing_is(
    http: httpx.AsyncClient, tokens: Tokens, resource: ResourceSnapshot
) -> None:
    answer = await http.get(f"/v1/resources/{resource.resource_id}/rules", headers=tokens.issue(OTHER))
    assert [(rule["rule"], rule["items"]) for rule in answer.json()["items"]] == [
        ("readable", []),
        ("required", ["name"]),
        ("length", ["name"]),
        ("unique", ["name"]),
    ]
    assert answer.json()["items"][2]["says"] == "name has at most 4 characters."
    assert (await http.get(f"/v1/resources/{uuid4()}/rules", headers=tokens.issue(OTHER))).status_code == 404
    for path in (f"/v1/resources/{resource.resource_id}/rules", "/v1/assessments", f"/v1/assessments/{uuid4()}"):
        assert (await http.get(path)).status_code == 401


@pytest.mark.parametrize(
    "query", ["cursor=%00", "cursor=zzz", "cursor=MjAyNi0wMS0wMXwx", "limit=0", "limit=1001", "resource_id=x", "limit=ten"]
)
async def test_a_wrong_query_is_named(http: httpx.AsyncClient, tokens: Tokens, query: str) -> None:
    answer = await http.get(f"/v1/assessments?{query}", headers=tokens.issue(None, "authority"))
    assert answer.status_code == 422
    assert query.split("=")[0] in answer.json()["errors"][0]["pointer"]


@pytest.mark.parametrize("path", ["/v1/assessments/x", "/v1/batches/1/assessment", "/v1/resources/x/rules"])
async def test_an_id_that_is_none_is_a_problem_and_no_failure(http: httpx.AsyncClient, tokens: Tokens, path: str) -> None:
    answer = await http.get(path, headers=tokens.issue(None, "authority"))
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_client_of_no_organization_and_no_wide_role_is_told_so(http: httpx.AsyncClient, tokens: Tokens) -> None:
    assert (await http.get("/v1/assessments", headers=tokens.issue(None, "operator"))).status_code == 403


async def test_the_dashboard_shows_what_was_checked_to_operators_only(
    http: httpx.AsyncClient, tokens: Tokens, resource: ResourceSnapshot
) -> None:
    assert (await http.get("/dashboard", headers=tokens.issue(OWNER, "steward"))).status_code == 303
    page = await http.get("/dashboard", headers=tokens.issue(None, "operator"))
    assert page.status_code == 200
    for piece in ("街道名录", "50.00 %", "length", "规范性", "accept part", "1 of 2 rows (50 %) are quarantined"):
        assert piece in page.text


async def test_an_empty_dashboard_is_a_page_too(http: httpx.AsyncClient, tokens: Tokens) -> None:
    page = await http.get("/dashboard", headers=tokens.issue(None, "operator"))
    assert page.status_code == 200
    assert "Nothing yet" in page.text
