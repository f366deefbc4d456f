"""HTTP in: one route for every action, by GET or by POST, answering in CKAN's envelope."""

from typing import Annotated, Any
from urllib.parse import parse_qsl

import orjson
from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from dxmesh_runtime.db import Tx
from open_data_svc.ckan.actions import ACTIONS, Call
from open_data_svc.ckan.domain import Parameters
from open_data_svc.ckan.errors import ActionError, BadRequest

router = APIRouter(tags=["CKAN Action API"])

_MAX_BODY_BYTES = 1_000_000
_REPEATABLE = ("fq_list", "facet.field", "fields")
_ENVELOPE: dict[str, Any] = {
    "type": "object",
    "required": ["help", "success"],
    "properties": {"help": {"type": "string"}, "success": {"type": "boolean"}, "result": {}, "error": {"type": "object"}},
}
_JSON: dict[str, Any] = {"application/json": {"schema": _ENVELOPE}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "success is true, result holds the answer", "content": _JSON},
    400: {"description": "the call or the search cannot be read", "content": {"application/json": {"schema": {}}}},
    404: {"description": "there is no such dataset", "content": _JSON},
    409: {"description": "parameters are wrong; error names each", "content": _JSON},
}


def _answer(body: Any, status: int) -> Response:
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return Response(orjson.dumps(body, default=str), status_code=status, media_type="application/json", headers=headers)


def site_of(request: Request) -> str:
    """Return the portal's address as callers know it, without a slash at its end."""
    known: str = request.state.settings.server.public_url
    return (known or str(request.base_url)).rstrip("/")


async def _read_body(request: Request) -> dict[str, Any]:
    """Return the parameters a POST carries, as JSON or as a form. Raises: BadRequest."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MAX_BODY_BYTES:
            raise BadRequest(f"Bad request - the body is larger than {_MAX_BODY_BYTES} bytes")
    text = bytes(body).strip()
    if not text:
        return {}
    is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    if is_form and not text.startswith(b"{"):
        return dict(parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as wrong:
        raise BadRequest(f"Bad request - JSON Error: Error decoding JSON data. Error: {wrong}") from wrong
    if not isinstance(found, dict):
        raise BadRequest("Bad request - JSON Error: Request data JSON decoded to something that is not an object")
    return found


def _read_query(request: Request) -> dict[str, Any]:
    query = request.query_params
    return {name: query.getlist(name) if name in _REPEATABLE and len(query.getlist(name)) > 1 else query[name] for name in query}


async def _act(request: Request, tx: Tx, action: str, given: dict[str, Any]) -> Response:
    site = site_of(request)
    run = ACTIONS.get(action)
    if run is None:
        return _answer(f"Bad request - Action name not known: {action}", 400)
    about = f"{site}/api/3/action/help_show?name={action}"
    try:
        result = await run(Call(tx, request.state.objects, request.state.portal, site, Parameters(given)))
    except ActionError as error:
        return _answer({"help": about, "success": False, "error": error.as_dict()}, error.status)
    return _answer({"help": about, "success": True, "result": result}, 200)


Action = Annotated[str, Path(description=f"one of {', '.join(ACTIONS)}")]


@router.get("/api/action/{action}", include_in_schema=False)
@router.get("/api/3/action/{action}", response_class=Response, responses=_RESPONSES)
async def get_action(request: Request, action: Action, tx: Tx) -> Response:
    """Call an action of CKAN's Action API with its parameters in the query."""
    return await _act(request, tx, action, _read_query(request))


@router.post("/api/action/{action}", include_in_schema=False)
@router.post("/api/3/action/{action}", response_class=Response, responses=_RESPONSES)
async def post_action(request: Request, action: Action, tx: Tx) -> Response:
    """Call an action of CKAN's Action API with its parameters as JSON."""
    try:
        given = await _read_body(request)
    except BadRequest as error:
        return _answer(str(error), 400)
    return await _act(request, tx, action, _read_query(request) | given)
