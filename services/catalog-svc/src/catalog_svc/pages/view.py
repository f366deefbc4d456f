"""How a page of the catalogue is rendered: its shell, its words, who looks, and where its forms lead."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from catalog_svc.pages import access, words
from dxmesh_runtime import shell
from dxmesh_runtime.auth import Principal

_pages = shell.renderer("catalog_svc")
_ROLES = ("authority", "operator", "cdo", "steward")
Words = Annotated[str, Query(alias="q", max_length=200)]
PageNumber = Annotated[int, Query(alias="page", ge=1, le=1_000_000)]


def render(
    request: Request, who: Principal | None, template: str, here: str, *, status: int = 200, refresh_seconds: int = 0, **context: Any
) -> HTMLResponse:
    """Render a page of the catalogue; `here` is the part of it that the navigation marks, `who` looks at it (None: nobody known)."""

    def page_link(page: int) -> str:
        return link(page=page)

    def link(**changes: object) -> str:
        return f"{request.url.path}?{urlencode(dict(request.query_params) | changes)}"

    return _pages.page(
        request,
        f"catalog/{template}",
        status=status,
        refresh_seconds=refresh_seconds,
        here=here,
        who=who,
        roles=[role for role in _ROLES if who is not None and who.has(role)],
        form_token=access.form_token(request),
        page_link=page_link,
        link=link,
        w=words.vocabulary(),
        **context,
    )


def missing(request: Request, who: Principal, here: str, what: str) -> HTMLResponse:
    """Say that something is not there, or not for this reader to know of."""
    return render(request, who, "missing.html", here, status=404, what=what)


def forbidden(request: Request, who: Principal, here: str, what: str) -> HTMLResponse:
    """Say that the reader's roles do not reach this far."""
    return render(request, who, "forbidden.html", here, status=403, what=what)


def done(target: str) -> RedirectResponse:
    """Lead from a form that took effect to the page that shows it, so that reloading sends nothing twice."""
    return RedirectResponse(target, status_code=303, headers={"Cache-Control": "no-store"})


def plain(text: str) -> str:
    """Return a reader's words without what no name holds."""
    return " ".join(text.replace("\0", " ").split())
