import asyncio
import gzip
import json

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from dxmesh_runtime import problems
from dxmesh_runtime.shell import description
from dxmesh_schemas.problem import Conflict, NotFound


@pytest.fixture
def app() -> FastAPI:
    app, router = FastAPI(openapi_url=None), APIRouter()

    @router.get("/things", responses=problems.problems(NotFound, Conflict))
    async def things() -> list[str]:
        return []

    problems.install(app)
    description.mount(app)
    app.include_router(router)
    return app


def reader(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")


async def test_the_description_is_made_once_and_answered_from_the_same_bytes(app: FastAPI) -> None:
    made = 0
    describe = app.openapi

    def counted() -> dict[str, object]:
        nonlocal made
        made += 1
        return describe()

    app.openapi = counted  # type: ignore[method-assign]
    async with reader(app) as client:
        answers = await asyncio.gather(*(client.get("/openapi.json", headers={"Accept-Encoding": "identity"}) for _ in range(5)))
        assert made == 1
        assert len({(answer.status_code, answer.content, answer.headers["etag"]) for answer in answers}) == 1
        plain = answers[0]
        assert "/things" in plain.json()["paths"]
        assert "content-encoding" not in plain.headers
        async with client.stream("GET", "/openapi.json", headers={"Accept-Encoding": "br, gzip"}) as packed:
            raw = b"".join([piece async for piece in packed.aiter_raw()])
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(raw) == plain.content
        known = {"If-None-Match": f'"old", {plain.headers["etag"]}'}
        again = await client.get("/openapi.json", headers=known)
        assert (again.status_code, again.content) == (304, b"")
        assert (await client.get("/openapi.json", headers={"If-None-Match": '"old"'})).status_code == 200


async def test_every_problem_of_every_route_refers_to_one_schema(app: FastAPI) -> None:
    async with reader(app) as client:
        document = (await client.get("/openapi.json")).json()
    responses = document["paths"]["/things"]["get"]["responses"]
    schemas = [answer["content"]["application/problem+json"]["schema"] for status, answer in responses.items() if status >= "400"]
    assert schemas == [{"$ref": "#/components/schemas/Problem"}] * 4
    assert json.dumps(document).count('"trace_id"') == 1
    assert document["components"]["schemas"]["Problem"]["required"] == ["type", "title", "status", "detail"]
