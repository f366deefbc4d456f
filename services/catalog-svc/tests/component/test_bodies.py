"""JSON bodies that are too large or too deep: refused on every route, before they are held."""

from collections.abc import AsyncIterator
from typing import Any

from catalog_svc.app import create_app

MEBIBYTE = 1 << 20
NOTHING = "00000000-0000-0000-0000-000000000000"
NAMED = {"kind": "duty", "term": "姓名", "sector": "民政", "name": "own", "taxonomy_id": "base", "client_id": "x"}


def taking_json(app: Any) -> list[tuple[str, str]]:
    """Return (method, path) of every route with a JSON body, its parameters filled."""
    found = []
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                names = [parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"]
                found.append((method, path.format(**{name: NAMED.get(name, NOTHING) for name in names})))
    return found


async def test_a_json_body_beyond_the_limit_is_refused_on_every_route_before_it_is_held(node: Any, is_problem: Any) -> None:
    routes = taking_json(create_app(node.settings))
    assert len(routes) > 40
    limit = node.settings.server.json_max_bytes
    sent = 0

    async def endless() -> AsyncIterator[bytes]:  # without Content-Length
        nonlocal sent
        yield b'{"name": "'
        for _ in range(50):
            sent += MEBIBYTE
            yield b"x" * MEBIBYTE

    headers = node.authority | {"Content-Type": "application/json"}
    for method, path in routes:
        sent = 0
        problem = is_problem(await node.client.request(method, path, content=endless(), headers=headers), 413, "too-large")
        assert problem["max_bytes"] == limit
        assert str(limit) in problem["detail"]
        assert sent <= limit + MEBIBYTE, f"{path} goes on reading"
        sent = 0
        announced = headers | {"Content-Length": str(50 * MEBIBYTE)}
        is_problem(await node.client.request(method, path, content=endless(), headers=announced), 413, "too-large")
        assert sent == 0, f"{path} reads what it was told is too large"


async def test_a_body_of_the_limit_is_read(node: Any, is_problem: Any) -> None:
    limit = node.settings.server.json_max_bytes
    headers = node.authority | {"Content-Type": "application/json"}
    for over, status in ((0, 422), (1, 413)):
        content = b'{"name":"x"}'.ljust(limit + over)
        is_problem(await node.client.post("/v1/systems", content=content, headers=headers), status)


async def test_files_have_limits_of_their_own(node: Any) -> None:
    bureau, _ = await node.provider()
    content = b"{}\n" + b" " * (node.settings.server.json_max_bytes + 1)
    headers = node.steward(bureau) | {"Content-Type": "application/x-ndjson"}
    answer = await node.client.post("/v1/resources/import", content=content, headers=headers)
    assert answer.status_code == 200, answer.text


async def test_deep_nesting_is_answered_on_every_route(node: Any, is_problem: Any) -> None:
    headers = node.authority | {"Content-Type": "application/json"}
    for method, path in taking_json(create_app(node.settings)):
        for depth in (900, 80_000):
            nested = b'{"items":[' * depth + b"1" + b"]}" * depth
            content = b'{"name":' + nested + b',"items":' + nested + b"}"
            answer = await node.client.request(method, path, content=content, headers=headers)
            assert "nests deeper" in is_problem(answer, 400, "unreadable")["detail"], path
    nested = b'{"items":[' * 200 + b"1" + b"]}" * 200  # what the parser still takes
    is_problem(await node.client.post("/v1/systems", content=b'{"name":' + nested + b"}", headers=headers), 422)
