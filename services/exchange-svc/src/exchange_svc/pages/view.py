"""How a list of the exchange is rendered, who looks, and whose things are shown."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request
from fastapi.responses import HTMLResponse

from dxmesh_runtime.auth import Principal
from dxmesh_runtime.paging import Slice
from dxmesh_runtime.shell import renderer
from exchange_svc.access import sees_all
from exchange_svc.pages import words

PAGE_ROWS = 50
_pages = renderer("exchange_svc")


def own_only(who: Principal | None) -> UUID | None:
    """Return the organization whose things are all that is shown; None, all of them, to the authority and operators of the node itself."""
    return None if who is None or sees_all(who) else who.organization_id


def render(
    request: Request, here: str, found: Slice[Any], *, chosen: str = "", options: Sequence[str] = (), **context: Any
) -> HTMLResponse:
    """Render the list `here`; `chosen` is which of the `options` it is filtered by, empty for none."""

    def link(**changes: object) -> str:
        return f"{request.url.path}?{urlencode(dict(request.query_params) | changes)}"

    return _pages.page(
        request,
        f"exchange/{here}.html",
        refresh_seconds=0,
        here=here,
        found=found,
        chosen=chosen,
        options=options,
        link=link,
        w=words.vocabulary(),
        **context,
    )
