"""HTTP of logical access: a grant's rows, as the department's interface has them now."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response

from dxmesh_runtime.auth import Who
from dxmesh_runtime.problems import problems
from exchange_svc import formats
from exchange_svc.api.calls import calling
from exchange_svc.api.domain import Api
from exchange_svc.api.routes import CALL_PROBLEMS, SystemId
from exchange_svc.catalog import store as catalog
from exchange_svc.enforcement.rows import enforce
from exchange_svc.proxy import domain
from exchange_svc.proxy.errors import AnswerUnfit, DepartmentAway, DepartmentSlow, NotProxied, QuestionInvalid
from exchange_svc.proxy.forward import Forwarder

router = APIRouter(prefix="/v1", tags=["proxy"])
_FORMATS = (formats.Format.JSON, formats.Format.NDJSON, formats.Format.CSV)


@router.get(
    "/grants/{grant_id}/proxy",
    responses=formats.responses(_FORMATS)
    | problems(*CALL_PROBLEMS, NotProxied, QuestionInvalid, DepartmentAway, DepartmentSlow, AnswerUnfit),
    response_class=Response,
)
async def ask(
    grant_id: UUID,
    request: Request,
    who: Who,
    system_id: SystemId = None,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Ask the department's own interface for rows, by granted items as query parameters; no copy is kept.

    What leaves is what the grant lets leave, whatever the interface answers: its rows, its items, masked.
    """
    form = formats.choose(None, accept, _FORMATS)
    state = request.state
    async with calling(state.database, grant_id, Api.PULL, system_id=system_id, by=who) as call:
        readable = call.readable
        async with state.sessions() as tx:
            mount = await catalog.find_mount(tx, call.grant.resource_id)
            resource = (await catalog.get_resource(tx, call.grant.resource_id)).read()
        if mount is None or mount.kind != "proxy" or mount.address is None or mount.confirmed_at is None:
            raise NotProxied(
                f"{resource.name} has no interface at {resource.provider.name} that the data authority has confirmed; "
                f"read its rows at /v1/grants/{grant_id}/rows"
            )
        view = readable.view
        masked = {mask.item for mask in view.masks} if view else set()
        question = request.query_params.multi_items()
        domain.check_question(question, items=readable.items, masked=masked, address=mount.address)
        forwarder: Forwarder = state.forwarder
        frame = await forwarder.ask(mount.address, question, resource.items, department=resource.provider.name)
        frame = (
            enforce(frame, view, state.token_keys).select(readable.items) if view and frame.height else frame.head(0).select(readable.items)
        )
        call.row_count = frame.height
    return await formats.answer(frame, form, next_cursor=None, name=f"grant-{grant_id}")
