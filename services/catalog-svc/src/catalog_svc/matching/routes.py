"""Synonyms, and the comparison of two names, over HTTP."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict

from catalog_svc.matching import commands, domain, store, words
from catalog_svc.matching.domain import Verdict
from catalog_svc.matching.errors import SynonymInvalid, SynonymNotFound
from catalog_svc.media import BODY_PROBLEMS, json_body
from dxmesh_runtime.auth import Authority, Who
from dxmesh_runtime.db import Tx, utc_now
from dxmesh_runtime.paging import CursorInvalid, CursorText, Limit, Page, Slice, after_text, cut
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Forbidden
from dxmesh_schemas.text import Name, Search

router = APIRouter(prefix="/v1/synonyms", tags=["sources"], dependencies=[Depends(json_body)])
Term = Annotated[Name, Path(description="as it stands in names of items, such as 户主身份证")]


class SynonymIn(BaseModel):
    """What a term means."""

    model_config = ConfigDict(extra="forbid")
    concept: Name


class SynonymOut(BaseModel):
    """A synonym of this node."""

    model_config = ConfigDict(from_attributes=True)
    term: str
    concept: str
    entered_by: str
    entered_at: datetime


class Comparison(BaseModel):
    """How alike two names are."""

    similarity: float
    verdict: Verdict
    reasons: tuple[str, ...]
    left: str
    right: str


class RekeyedOut(BaseModel):
    """How many indexed names another word of the lists reached."""

    changed_count: int


@router.post("/rekeying", responses=problems(Forbidden))
async def rekey_all(_: Authority, tx: Tx) -> RekeyedOut:
    """Bring every indexed name to the words in force (the data authority), as after a release that ships others."""
    return RekeyedOut(changed_count=await commands.rekey_all(tx))


@router.put("/{term}", response_model=SynonymOut, responses=problems(*BODY_PROBLEMS, SynonymInvalid, Forbidden))
async def put_synonym(term: Term, body: SynonymIn, who: Authority, tx: Tx) -> store.Synonym:
    """Say what a term means on this node (the data authority); a term that means itself takes a shipped synonym out."""
    return await commands.put_synonym(tx, term, concept=body.concept, by=who.subject, now=utc_now())


@router.delete("/{term}", status_code=204, responses=problems(SynonymNotFound, Forbidden))
async def remove_synonym(term: Term, _: Authority, tx: Tx) -> Response:
    """Forget what a term means on this node."""
    await commands.remove_synonym(tx, term)
    return Response(status_code=204)


@router.get("", response_model=Page[SynonymOut], responses=problems(CursorInvalid))
async def list_synonyms(
    _: Who, tx: Tx, q: Annotated[Search | None, Query()] = None, limit: Limit = 50, cursor: CursorText = None
) -> Slice[store.Synonym]:
    """List the node's own synonyms by term."""
    return cut(await store.list_synonyms(tx, q=q, after=after_text(cursor), limit=limit), limit, lambda row: row.term)


@router.get("/shipped")
async def list_shipped(_: Who) -> list[tuple[str, ...]]:
    """List the shipped groups of names and words; the first of each is the one the others are brought to."""
    return [*words.SYNONYMS, *words.WORDS]


@router.get("/comparison")
async def compare(left: Annotated[Search, Query()], right: Annotated[Search, Query()], _: Who, tx: Tx) -> Comparison:
    """Compare two names by the synonyms in force: what is the same, and why."""
    known = await commands.lexicon(tx)
    one, other = known.element(left), known.element(right)
    match = domain.compare(one, other)
    return Comparison(similarity=match.similarity, verdict=match.verdict, reasons=match.reasons, left=one.name.key, right=other.name.key)
