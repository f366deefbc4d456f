"""Signing in to the catalogue's pages and out again, and going on with a form that was sent too late."""

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse

from catalog_svc.pages import access, view
from catalog_svc.pages.access import SignInWanted
from dxmesh_runtime.shell.access import COOKIE, local_path

router = APIRouter(include_in_schema=False)
SIGN_IN = "/dashboard/desk/sign-in"
_ASSETS = Path(__file__).parent / "assets"
_CONTROLS = ("client_id", "client_secret", "next", "goes_on", access.FORM_TOKEN)


@router.get("/assets/{name}")
async def asset(name: Literal["desk.css", "desk.js"]) -> FileResponse:
    """Return the style sheet or the script of the pages that have forms."""
    return FileResponse(_ASSETS / name, headers={"Cache-Control": "no-cache"})


@router.get("/desk/sign-in")
async def show(request: Request, target: Annotated[str, Query(alias="next")] = "/dashboard") -> HTMLResponse:
    """Show the sign-in page."""
    return view.render(request, None, "sign_in.html", "", target=local_path(target), client_id="", fault=None, entered=[], goes_on=False)


@router.post("/desk/sign-in")
async def sign_in(request: Request) -> Response:
    """Sign in with a credential; a form that was sent too late is shown again, to be sent by its own button."""
    access.refuse_foreign(request)
    values = await access.form_of(request)
    said = {name: texts[0].strip() for name, texts in values.items() if name in _CONTROLS}
    target, client_id = local_path(said.get("next", "/dashboard")), said.get("client_id", "")
    entered = access.pairs_of(values, without=_CONTROLS)
    goes_on = "goes_on" in said
    admitted = await access.admit(request, client_id, said.get("client_secret", ""))
    if isinstance(admitted, str):
        status = 503 if admitted in ("unreachable", "busy") else 403
        context: dict[str, Any] = {"target": target, "client_id": client_id, "fault": admitted, "entered": entered, "goes_on": goes_on}
        return view.render(request, None, "sign_in.html", "", status=status, **context)
    token, seconds = admitted
    request.cookies[COOKIE] = token  # the page that goes on is already the signed-in reader's
    response: Response = view.done(target)
    if goes_on:
        response = view.render(request, await access.viewer(request), "go_on.html", "", target=target, entered=entered)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, token, max_age=seconds, path="/dashboard", httponly=True, samesite="strict", secure=secure)
    return response


@router.post("/desk/sign-out")
async def sign_out(request: Request) -> Response:
    """Forget who was signed in."""
    access.refuse_foreign(request)
    response = view.done(SIGN_IN)
    response.delete_cookie(COOKIE, path="/dashboard", httponly=True, samesite="strict")
    return response


def install(app: FastAPI) -> None:
    """Answer whoever is not known with a way to the sign-in page, keeping what a form would have sent."""

    @app.exception_handler(SignInWanted)
    async def lead_to_sign_in(request: Request, wanted: Exception) -> Response:
        assert isinstance(wanted, SignInWanted)
        path = request.url.path
        if wanted.entered is None:
            target = path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"{SIGN_IN}?next={quote(target, safe='')}", status_code=303, headers={"Cache-Control": "no-store"})
        entered = access.pairs_of(wanted.entered, without=_CONTROLS)
        return view.render(
            request, None, "sign_in.html", "", status=403, target=path, client_id="", fault=None, entered=entered, goes_on=True
        )
