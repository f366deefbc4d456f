"""Who looks at the catalogue's pages and who acts on them: operators, the data authority, and stewards and CDOs on what is theirs."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from fastapi import Depends, Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from catalog_svc.credential.errors import TooManyChecks
from catalog_svc.pages import fields
from catalog_svc.pages.errors import ForeignForm
from catalog_svc.pages.fields import Values
from catalog_svc.token import commands as tokens
from catalog_svc.token.domain import TokenRequest
from catalog_svc.token.errors import TokenRefused
from catalog_svc.token.issuer import Issuer
from dxmesh_runtime.auth import Principal, Principals
from dxmesh_runtime.db import utc_now
from dxmesh_runtime.shell.access import COOKIE, from_this_machine
from dxmesh_schemas.problem import Problem, TooLarge, Unreadable

FORM_TOKEN = "form_token"
MOST_UPLOADED_BYTES = 64 << 20
_MOST_FIELDS_UPLOADED = 20
_OF_AN_ORGANIZATION = ("steward", "cdo", "operator")
_THIS_MACHINE = "this machine"
_ISSUER_SECONDS = 10


class SignInWanted(Exception):
    """The page is not for whoever is not known; `entered` is what a form would have sent, to go on with after signing in."""

    def __init__(self, entered: Values | None = None) -> None:
        super().__init__("sign in first")
        self.entered = entered


@dataclass(frozen=True, slots=True)
class Posted:
    """A form that was sent, and by whom."""

    who: Principal
    values: Values

    def control(self, name: str) -> str:
        """Return a field that is not part of the body, empty when it was not sent."""
        found = self.values.get(name)
        return found[0] if found else ""

    @property
    def revisions(self) -> list[int]:
        """Return the revision the form was made on; none at all for one that names none, so that nothing is overwritten unseen."""
        said = self.control("revision")
        return [int(said)] if said.isascii() and said.isdigit() and len(said) < 10 else []

    @property
    def tags(self) -> list[str]:
        """Return the entity tag of the entry the form was made on; one that names none is made on nothing that is."""
        return [self.control("revision")]


@dataclass(frozen=True, slots=True)
class Uploaded(Posted):
    """A form that was sent with a file; none when none was chosen."""

    file: UploadFile | None


def sees_all(who: Principal) -> bool:
    """Say whether the reader sees every organization's drafts, systems and steps: the authority, and an operator of the node itself."""
    return who.has("authority") or (who.has("operator") and who.organization_id is None)


def own_only(who: Principal) -> UUID | None:
    """Return the organization whose unpublished work is all the reader sees, None for all of them."""
    return None if sees_all(who) else who.own_organization


def may_look(who: Principal) -> bool:
    """Say whether a principal may look: operators and the authority, and who acts for an organization."""
    return sees_all(who) or (who.organization_id is not None and any(who.has(role) for role in _OF_AN_ORGANIZATION))


async def viewer(request: Request) -> Principal:
    """Return who looks at a page. Raises: SignInWanted."""
    cookie = request.cookies.get(COOKIE)
    authorization = request.headers.get("authorization") or (f"Bearer {cookie}" if cookie else None)
    principals: Principals = request.state.principals
    try:
        who = await principals.of(authorization)
    except Problem as refused:
        return _of_this_machine(request, refused)
    return who if may_look(who) else _of_this_machine(request, None)


def _of_this_machine(request: Request, refused: Problem | None) -> Principal:
    """Return this machine's own user, who looks, and acts as the data authority where the settings say so."""
    settings = request.state.settings
    if not settings.dashboard.loopback_open or not from_this_machine(request):
        raise SignInWanted from refused
    return Principal(_THIS_MACHINE, None, frozenset({"authority" if settings.desk.loopback_acts else "operator"}))


def form_token(request: Request) -> str:
    """Return what this reader's forms carry: made from the sign-in that other sites, and other ports of this host, cannot read."""
    return hashlib.sha256(b"dxmesh-form\0" + request.cookies.get(COOKIE, "").encode()).hexdigest()


def refuse_foreign(request: Request) -> None:
    """Refuse a form of another site. Raises: ForeignForm (403).

    A browser says where a form comes from, and its user's cookie is SameSite=Strict besides; a program that sends its token itself
    acts in nobody else's name.
    """
    origin = request.headers.get("origin")
    # a proxy before this service may put a host of its own; browsers then come by the public address
    hosts = {request.headers.get("host", "").lower(), urlsplit(request.state.public_url).netloc.lower()}
    if origin is not None and origin != "null" and urlsplit(origin).netloc.lower() in hosts - {""}:
        return
    if origin is None and request.headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
        return
    raise ForeignForm(f"it came from {(origin or 'another site')[:100]!r}; open the page of this catalogue and send its form")


async def form_of(request: Request) -> Values:
    """Return the fields that were sent. Raises: TooLarge (413), Unreadable (400)."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > fields.MAX_BYTES:
            raise TooLarge(f"the form has more than {fields.MAX_BYTES} bytes; shorten it, or enter the resource over the API")
    return fields.read(bytes(body))


async def posted(request: Request) -> Posted:
    """Return a form and who sends it. Raises: ForeignForm (403), SignInWanted with what was entered."""
    refuse_foreign(request)
    return await _known(request, await form_of(request))


async def _known(request: Request, values: Values) -> Posted:
    try:
        who = await viewer(request)
    except SignInWanted as unknown:
        raise SignInWanted(values) from unknown
    if who.subject == _THIS_MACHINE and not who.has("authority"):
        raise SignInWanted(values)
    said = values.pop(FORM_TOKEN, [""])[0]
    by_cookie = "authorization" not in request.headers and who.subject != _THIS_MACHINE
    if by_cookie and not hmac.compare_digest(said.encode(), form_token(request).encode()):
        raise SignInWanted(values)
    return Posted(who, values)


async def uploaded(request: Request) -> AsyncIterator[Uploaded]:
    """Yield a form with a file and who sends it. Raises: ForeignForm (403), SignInWanted, TooLarge (413), Unreadable (400)."""
    refuse_foreign(request)
    said = request.headers.get("content-length", "")
    if not (said.isascii() and said.isdigit()):
        raise Unreadable("the form does not say how long it is (Content-Length); send it from its page")
    if int(said) > MOST_UPLOADED_BYTES:
        raise TooLarge(f"a file has at most {MOST_UPLOADED_BYTES} bytes; split it", max_bytes=MOST_UPLOADED_BYTES)
    try:
        form = await request.form(max_files=1, max_fields=_MOST_FIELDS_UPLOADED)
    except HTTPException as wrong:
        raise Unreadable(f"the form cannot be read: {wrong.detail}; send it from its page") from wrong
    try:
        values: Values = {}
        for name, text in form.multi_items():
            if isinstance(text, str):
                values.setdefault(name, []).append(text)
        sent = await _known(request, values)
        found = form.get("/file")
        yield Uploaded(sent.who, sent.values, found if isinstance(found, UploadFile) and found.filename else None)
    finally:
        await form.close()


Viewer = Annotated[Principal, Depends(viewer)]
"""Who looks at a page."""
Sent = Annotated[Posted, Depends(posted)]
"""A form that somebody who is known sends from a page of this catalogue."""
SentFile = Annotated[Uploaded, Depends(uploaded)]
"""The same with a file."""


async def admit(request: Request, client_id: str, client_secret: str) -> tuple[str, int] | str:
    """Exchange a credential for a token and its seconds; a text names what is wrong: refused, role, busy or unreachable."""
    issuer: Issuer | None = request.state.issuer
    try:
        if issuer is not None:
            asked = TokenRequest(client_id, client_secret, None)
            granted = await tokens.grant_token(request.state.sessions, request.state.secret_checks, issuer, asked, now=utc_now())
            token, seconds = granted.token, issuer.lifetime_seconds
        else:
            token, seconds = await _asked_elsewhere(request.state.settings.auth.issuer, client_id, client_secret)
        principals: Principals = request.state.principals
        who = await principals.of(f"Bearer {token}")
    except TokenRefused:
        return "refused"
    except TooManyChecks:
        return "busy"
    except Problem as problem:
        return "unreachable" if problem.status >= 500 else "refused"
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return "unreachable"
    return (token, seconds) if may_look(who) else "role"


async def _asked_elsewhere(issuer_url: str, client_id: str, client_secret: str) -> tuple[str, int]:
    """Ask another issuer for a token. Raises: TokenRefused, httpx.HTTPError, ValueError, KeyError, TypeError."""
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    async with httpx.AsyncClient(timeout=_ISSUER_SECONDS) as client:
        answer = await client.post(f"{issuer_url.rstrip('/')}/oauth/token", data=form)
    if 400 <= answer.status_code < 500:
        raise TokenRefused("the issuer knows no such client with that secret")
    answer.raise_for_status()
    granted = answer.json()
    return str(granted["access_token"]), int(granted.get("expires_in", 900))


def pairs_of(values: Values, *, without: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return the fields of a form one by one, as a page hands them on."""
    return [(name, text) for name, texts in values.items() if name not in without for text in texts]
