"""The forms of the lists that are kept: entries entered, changed and finished, and files taken in with every refused row named."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile

from catalog_svc.organization.errors import OrganizationNotFound
from catalog_svc.pages import lists, queries, view
from catalog_svc.pages.access import Sent, SentFile, Viewer
from catalog_svc.pages.fields import MISSING, Form, Values, body_of, flat, passed, refusals, written
from catalog_svc.resource import store as resources
from catalog_svc.sharing_list import commands, file_routes, routes, store
from catalog_svc.sharing_list.domain import FORBIDS_TITLES, STATUS_TITLES, STATUSES, TITLES, EntryChange, KeptKind, ListKind, Status
from catalog_svc.sharing_list.errors import ImportRefused, ListEntryNotFound, ListEntryPassed
from catalog_svc.sharing_list.routes import EntryIn
from catalog_svc.sharing_list.sheet import Sheet
from dxmesh_runtime.auth import Principal
from dxmesh_runtime.db import Tx
from dxmesh_schemas.problem import Invalid, Problem, Unreadable, UnsupportedMedia
from dxmesh_tabular.media import MediaType

router = APIRouter(include_in_schema=False, prefix="/lists")
_HERE = "lists"
_MOST_CHOICES = 1_000
_NOT_THERE = "没有这个条目 There is no such entry"
_NOT_YOURS = "清单由责任部门数据管理员或数据主管部门维护 Lists are kept by stewards of the owners and the data authority"
_NOWHERE = UUID(int=0)  # of a code that no resource has: refused at its field together with every other fault
_MEDIA = {".csv": MediaType.CSV, ".xlsx": MediaType.XLSX}
_BACK = {ListKind.SYSTEM: "/dashboard/systems", ListKind.DATA: "/dashboard/resources"}
_AT_FILE: dict[type[Problem], str] = {Unreadable: "/file", UnsupportedMedia: "/file"}


class FinishIn(BaseModel):
    """How an entry ends, and the code of the resource that meets it."""

    status: Status
    resource_id: str | None = None


@router.get("/{kind}/import")
async def ask_file(request: Request, kind: ListKind, who: Viewer) -> Response:
    """Show the form that takes in a list's file."""
    return _importing(request, kind, who, Form("import"))


@router.post("/{kind}/import")
async def import_file(request: Request, kind: ListKind, sent: SentFile, tx: Tx) -> Response:
    """Take in a list's file; every row that is wrong is named."""
    form = Form("import", sent.values)
    async with refusals(tx, form, _AT_FILE):
        commands.refuse_reader(sent.who)
        body = file_routes.ImportQuery.model_validate(body_of(sent.values))
        found = await _sheet(sent.file, kind, body)
        done = await file_routes.take_in(kind, found, request, sent.who, tx, mode=body.mode)
        return _importing(request, kind, sent.who, form, done)
    return _importing(request, kind, sent.who, form)


@router.get("/{kind}/new")
async def ask(request: Request, kind: KeptKind, who: Viewer, tx: Tx) -> Response:
    """Show the form of an entry."""
    return await _form(request, tx, kind, who, Form("entry", {"/status": [STATUSES[kind][0].value]}), None)


@router.post("/{kind}/new")
async def create(request: Request, kind: KeptKind, sent: Sent, tx: Tx) -> Response:
    """Enter an entry of a kept list; the data authority names its owner."""
    form = Form("entry", sent.values)
    async with refusals(tx, form, {OrganizationNotFound: "/organization_id"}):
        body = body_of(sent.values)
        code = body.pop("resource_id", None)
        entry = EntryIn.model_validate(body)
        resource_id = await _resource(tx, code, entry.organization_id or sent.who.organization_id)
        row = await routes.create(kind, entry.model_copy(update={"resource_id": resource_id}), sent.who, tx, Response())
        return view.done(f"/dashboard/lists/{kind.value}/{row.entry_id}")
    return await _form(request, tx, kind, sent.who, form, None)


@router.get("/{kind}/{entry_id}/entry")
async def edit(request: Request, kind: KeptKind, entry_id: UUID, who: Viewer, tx: Tx) -> Response:
    """Show an entry to change."""
    row = await _find(tx, kind, entry_id)
    if row is None:
        return view.missing(request, who, _HERE, _NOT_THERE)
    return await _form(request, tx, kind, who, Form("entry", await _made_on(tx, row)), row)


@router.post("/{kind}/{entry_id}/entry")
async def change(request: Request, kind: KeptKind, entry_id: UUID, sent: Sent, tx: Tx) -> Response:
    """Change an entry, on what the form was made on."""
    form = Form("entry", sent.values)
    row = await _find(tx, kind, entry_id)
    if row is None:
        return view.missing(request, sent.who, _HERE, _NOT_THERE)
    async with refusals(tx, form):
        body = body_of(sent.values)
        code = body.pop("resource_id", None)
        entry = EntryChange.model_validate(body)
        resource_id = await _resource(tx, code, row.organization_id, row)
        unshown = EntryChange.model_validate({name: getattr(row, name) for name in EntryChange.model_fields})
        items = unshown.items if resource_id == row.resource_id else ()
        entry = entry.model_copy(update={"resource_id": resource_id, "items": items, "scenario": unshown.scenario})
        await routes.change(kind, entry_id, entry, sent.who, sent.revisions, tx, Response())
        return view.done(f"/dashboard/lists/{kind.value}/{entry_id}")
    return await _form(request, tx, kind, sent.who, form, await _find(tx, kind, entry_id))


@router.post("/{kind}/{entry_id}/finish")
async def finish(request: Request, kind: KeptKind, entry_id: UUID, sent: Sent, tx: Tx) -> Response:
    """End an entry, with the resource that meets it; everything else stays as it is."""
    form = Form("finish", sent.values)
    row = await _find(tx, kind, entry_id)
    if row is None:
        return view.missing(request, sent.who, _HERE, _NOT_THERE)
    async with refusals(tx, form):
        body = FinishIn.model_validate(body_of(sent.values))
        known = {name: getattr(row, name) for name in EntryChange.model_fields}
        resource_id = await _resource(tx, body.resource_id, row.organization_id, row) if body.resource_id else row.resource_id
        entry = EntryChange.model_validate(known | {"status": body.status, "resource_id": resource_id})
        await routes.change(kind, entry_id, entry, sent.who, sent.revisions, tx, Response())
        return view.done(f"/dashboard/lists/{kind.value}/{entry_id}")
    return await lists.show(request, tx, kind, entry_id, sent.who, refused=form)


async def _form(request: Request, tx: AsyncSession, kind: KeptKind, who: Principal, form: Form, row: store.ListEntry | None) -> Response:
    if not (who.has("authority") or who.has("steward") if row is None else commands.keeps(who, row.organization_id)):
        return view.forbidden(request, who, _HERE, _NOT_YOURS)
    changes: list[tuple[str, str, str]] = []
    is_late = row is not None and isinstance(form.problem, ListEntryPassed)
    if row is not None and is_late:
        changes = passed(form.value("read"), await _values(tx, row))
        # what differs has been shown: the next attempt is made on what is there now
        form.values |= {name: said for name, said in (await _made_on(tx, row)).items() if not name.startswith("/")}
    own = None if who.has("authority") else who.organization_id
    return view.render(
        request,
        who,
        "list_form.html",
        _HERE,
        status=form.problem.status if form.problem is not None else 200,
        form=form,
        row=row,
        kind=kind.value,
        title=TITLES[ListKind(kind.value)],
        is_late=is_late,
        passed=changes,
        statuses={one.value: STATUS_TITLES[one] for one in STATUSES[kind]},
        forbids={one.value: title for one, title in FORBIDS_TITLES.items()},
        owners=await queries.owners(tx, limit=_MOST_CHOICES),
        systems=await queries.systems_taking(tx, of=row.organization_id if row is not None else own, limit=_MOST_CHOICES),
    )


async def _find(tx: AsyncSession, kind: KeptKind, entry_id: UUID) -> store.ListEntry | None:
    try:
        return await store.get(tx, kind, entry_id)
    except ListEntryNotFound:
        return None


async def _resource(tx: AsyncSession, code: str | None, owner_id: UUID | None, row: store.ListEntry | None = None) -> UUID | None:
    """Return the resource of a code; that of the entry keeps it, whatever became of it."""
    if code is None:
        return None
    if row is not None and row.resource_id is not None and code == await _code(tx, row):
        return row.resource_id
    found = await store.resources_by_code(tx, [code], [owner_id] if owner_id is not None else [])
    return found[code][0] if code in found else _NOWHERE


async def _code(tx: AsyncSession, row: store.ListEntry) -> str | None:
    return None if row.resource_id is None else (await resources.get(tx, row.resource_id)).resource_code


async def _values(tx: AsyncSession, row: store.ListEntry) -> Values:
    entry: dict[str, Any] = {name: getattr(row, name) for name in EntryChange.model_fields}
    return flat(entry | {"resource_id": await _code(tx, row)})


async def _made_on(tx: AsyncSession, row: store.ListEntry) -> Values:
    """Return an entry as its form's fields, with what the form carries unseen."""
    values = await _values(tx, row)
    return values | {"revision": [str(row.version)], "read": [written(values)]}


def _importing(request: Request, kind: ListKind, who: Principal, form: Form, done: commands.Imported | None = None) -> Response:
    if not (who.has("authority") or who.has("steward")):
        return view.forbidden(request, who, _HERE, _NOT_YOURS)
    refused = form.problem.members["errors"] if isinstance(form.problem, ImportRefused) else []
    return view.render(
        request,
        who,
        "list_import.html",
        _HERE,
        status=form.problem.status if form.problem is not None else 200,
        form=form,
        kind=kind.value,
        title=TITLES[kind],
        back=_BACK.get(kind, f"/dashboard/lists/{kind.value}"),
        done=done,
        faults=done.faults if done is not None else refused,
    )


async def _sheet(file: UploadFile | None, kind: ListKind, query: file_routes.ImportQuery) -> Sheet:
    """Read the file that was sent. Raises: Invalid (422) without one, UnsupportedMedia (415), and what reading it does."""
    if file is None:
        raise Invalid.of([("/file", MISSING)])
    media = _MEDIA.get(Path(file.filename or "").suffix.lower())
    if media is None:
        raise UnsupportedMedia(f"{(file.filename or '')[:100]!r} is no file of a list; send one that ends in .csv or .xlsx")
    with tempfile.NamedTemporaryFile(prefix="dxmesh-import-") as kept:
        await asyncio.to_thread(shutil.copyfileobj, file.file, kept)
        kept.flush()
        return await file_routes.sheet_of(Path(kept.name), media, kind, sheet=query.sheet, encoding=query.encoding)
