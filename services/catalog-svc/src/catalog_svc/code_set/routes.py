"""Code sets over HTTP."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from catalog_svc.code_set import commands, domain, store
from catalog_svc.code_set.errors import CodeSetInvalid, CodeSetNotFound
from catalog_svc.media import BODY_PROBLEMS, json_body
from dxmesh_runtime.auth import Authority, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_text, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Name, Search

router = APIRouter(prefix="/v1/code-sets", tags=["code sets"], dependencies=[Depends(json_body)])
CodeSetName = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$", description="lower-case letters, digits, dot, underscore, hyphen")
]


class CodeSetIn(BaseModel):
    """A code set as it should be."""

    model_config = ConfigDict(extra="forbid")
    title: Name
    codes: Annotated[list[str], Field(min_length=1, max_length=domain.MAX_CODES)]


class CodeSetOut(BaseModel):
    """A version of a code set with its codes."""

    model_config = ConfigDict(from_attributes=True)
    name: str
    version: int
    title: str
    codes: list[str]
    published_at: datetime


class CodeSetSummary(BaseModel):
    """A code set, without its codes."""

    model_config = ConfigDict(from_attributes=True)
    name: str
    version: int
    title: str
    code_count: int
    published_at: datetime


@router.put(
    "/{name}",
    response_model=CodeSetOut,
    responses={
        201: {"model": CodeSetOut, "description": "A new version is in force"},
        **problems(*BODY_PROBLEMS, CodeSetInvalid, Forbidden),
    },
)
async def publish(name: CodeSetName, body: CodeSetIn, _: Authority, tx: Tx, response: Response) -> store.CodeSetVersion:
    """Put a code set in force (the data authority): a new version when it differs (201), else the one there is (200)."""
    version, is_new = await commands.publish(tx, name, title=body.title, codes=body.codes, now=utc_now())
    response.status_code = 201 if is_new else 200
    return version


@router.get("", response_model=Page[CodeSetSummary], responses=problems(CursorInvalid))
async def list_code_sets(
    _: Who, tx: Tx, q: Annotated[Search | None, Query()] = None, limit: Limit = 50, cursor: CursorText = None
) -> Slice[store.CodeSet]:
    """List code sets by name."""
    return cut(await store.list_page(tx, q=q, after=after_text(cursor), limit=limit), limit, lambda row: row.name)


@router.get("/{name}", response_model=CodeSetOut, responses=problems(CodeSetNotFound))
async def get_code_set(
    name: CodeSetName, _: Who, tx: Tx, version: Annotated[int | None, Query(ge=1, le=2_147_483_647)] = None
) -> store.CodeSetVersion:
    """Return a code set in its newest version, or the one named."""
    return await store.get_version(tx, name, version)
