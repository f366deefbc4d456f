"""Problems on the wire: the same members for every kind of error, and never a stack trace."""

from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI, Query
from pydantic import BaseModel, Field

from dxmesh_runtime import problems
from dxmesh_schemas.problem import NotFound, Unavailable


class ThingMissing(NotFound):
    slug, title = "thing-missing", "There is no such thing here"


class Body(BaseModel):
    name: Annotated[str, Field(max_length=3)]
    items: list[int] = []


@pytest.fixture
async def client() -> httpx.AsyncClient:
    app = FastAPI()
    problems.install(app)

    @app.post("/things")
    async def post(body: Body, n: Annotated[int, Query(ge=1)] = 1) -> str:
        return body.name * n

    @app.get("/missing")
    async def missing() -> None:
        raise ThingMissing("thing 7 is not here; list them with GET /things", thing=7)

    @app.get("/away")
    async def away() -> None:
        raise Unavailable("come again", retry_after_seconds=3)

    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError("secret=hunter2")

    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://t")


async def test_a_problem_keeps_its_status_slug_and_members(client: httpx.AsyncClient) -> None:
    answer = await client.get("/missing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["type"].endswith("/thing-missing")
    assert (found["title"], found["status"], found["instance"], found["thing"]) == ("There is no such thing here", 404, "/missing", 7)


async def test_every_wrong_field_is_named_by_its_pointer(client: httpx.AsyncClient) -> None:
    answer = await client.post("/things?n=0", json={"name": "long name", "items": [1, "x"]})
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {"query:n", "/name", "/items/1"}


async def test_a_body_that_is_not_json_is_unreadable(client: httpx.AsyncClient) -> None:
    answer = await client.post("/things", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[1]) == (400, "unreadable")


async def test_an_unknown_fault_tells_nothing_of_itself(client: httpx.AsyncClient) -> None:
    answer = await client.get("/bug")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert answer.json()["title"] == "The service failed"


async def test_unknown_paths_and_methods_and_retries_are_problems_too(client: httpx.AsyncClient) -> None:
    assert (await client.get("/nowhere")).json()["type"].endswith("/not-found")
    wrong = await client.delete("/missing")
    assert (wrong.status_code, wrong.headers["content-type"]) == (405, "application/problem+json")
    assert (await client.get("/away")).headers["retry-after"] == "3"
