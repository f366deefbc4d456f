"""Answers about rows, from the resource's table and through the grant's filter; never the rows."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import polars as pl
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_clocks.working_days import begin_of
from dxmesh_schemas.exchange_terms import Conditions
from dxmesh_schemas.problem import Fault, NotFound
from dxmesh_tabular import table
from dxmesh_tabular.lookup import Lookup
from dxmesh_tabular.store import ObjectStore
from exchange_svc.api import domain, questions, store
from exchange_svc.api.errors import QuestionInvalid
from exchange_svc.api.questions import Counted
from exchange_svc.enforcement.filters import passes, plain
from exchange_svc.grant.errors import TableBehind, TableVersionGone
from exchange_svc.grant.pull import Readable


@dataclass(frozen=True, slots=True)
class Verifier:
    """What answers questions: the tables, what is kept of them in memory, and how much may be asked."""

    objects: ObjectStore
    lookup: Lookup
    questions_max: int
    count_floor: int
    counts_per_day: int

    def check(self, readable: Readable, asked: Sequence[Conditions], *, about_one: bool) -> None:
        """Let questions be asked. Raises: QuestionInvalid (422) naming everything that is wrong."""
        if len(asked) > self.questions_max:
            detail = f"{len(asked)} questions are more than the {self.questions_max} that one call may ask; ask the rest in another"
            raise QuestionInvalid.at("/questions", detail)
        found = [fault for number, question in enumerate(asked) for fault in _faults(readable, question, number, about_one=about_one)]
        if found:
            raise QuestionInvalid.of(found)

    async def answer(self, readable: Readable, asked: Sequence[Conditions]) -> list[bool]:
        """Say for each question, once checked, whether there is a row. Raises: TableBehind (503), TableVersionGone (410)."""
        return await asyncio.to_thread(self._answers, readable, asked)

    def _answers(self, readable: Readable, asked: Sequence[Conditions]) -> list[bool]:
        view, key = readable.view, readable.table_key
        if view is None or key is None:
            return [False] * len(asked)
        with _of_table(readable):
            schema = self.lookup.schema(key, readable.version)
            found = []
            for question in asked:
                conditions = (*view.where, *question)
                names = questions.pinned(question, readable.granted, readable.key, _masked(readable))
                equal = {name: plain(value, schema[name]) for name, value in names.items()}
                rows = self.lookup.rows(key, readable.version, equal, sorted({one.item for one in conditions}))
                found.append(bool(rows.height) and not rows.filter(passes(conditions, rows.schema)).is_empty())
            return found

    async def counts(self, readable: Readable, asked: Sequence[Conditions]) -> tuple[int, list[int]]:
        """Count all rows of the grant, and those of each question. Raises: TableBehind (503), TableVersionGone (410)."""
        return await asyncio.to_thread(self._counts, readable, asked)

    def _counts(self, readable: Readable, asked: Sequence[Conditions]) -> tuple[int, list[int]]:
        view, key = readable.view, readable.table_key
        if view is None or key is None:
            return 0, [0] * len(asked)
        with _of_table(readable):
            rows = table.scan(self.objects, key, version=readable.version)
            schema = rows.collect_schema()
            sums = [(passes(question, schema).sum() if question else pl.len()).alias(str(number)) for number, question in enumerate(asked)]
            total, *counts = rows.filter(passes(view.where, schema)).select(pl.len().alias("all"), *sums).collect().row(0)
            return total, counts


async def judged(
    tx: AsyncSession,
    verifier: Verifier,
    grant_id: UUID,
    asked: Sequence[Conditions],
    total: int,
    counts: Sequence[int],
    *,
    today: date,
    now: datetime,
) -> list[Counted]:
    """Decide which counts are told, and keep them: the same question has the same answer for the rest of the day.

    Raises: CountsUsedUp (429) when they would be more different ones than a day has.
    """
    earlier = await store.lock_counts(tx, grant_id, today=today)
    found, new = [], []
    for question, count in zip(asked, counts, strict=True):
        normal = questions.normal(question)
        known = earlier.get(normal)
        if known is None:
            known = questions.judge(normal, count, total=total, floor=verifier.count_floor, earlier=earlier.values())
            earlier[normal] = known
            new.append(known)
        found.append(known)
    if len(earlier) > verifier.counts_per_day:
        raise domain.counts_used_up(verifier.counts_per_day, until=begin_of(today + domain.DAY), now=now)
    await store.put_counts(tx, grant_id, new, today=today)
    return found


def _faults(readable: Readable, question: Conditions, number: int, *, about_one: bool) -> Iterator[Fault]:
    at, masked = f"/questions/{number}/conditions", _masked(readable)
    yield from questions.faults(question, readable.granted, masked, at=at)
    if about_one:
        yield from questions.pin_faults(question, readable.granted, readable.key, masked, at=at)


def _masked(readable: Readable) -> set[str]:
    return {one.item for one in readable.view.masks} if readable.view else set()


@contextmanager
def _of_table(readable: Readable) -> Iterator[None]:
    """Say what went wrong with the table in words of the grant's."""
    try:
        yield
    except (KeyError, ValueError, pl.exceptions.ColumnNotFoundError, pl.exceptions.SchemaError) as behind:
        raise TableBehind("the table is not yet in the form of the version in force; try again in a few seconds") from behind
    except (NotFound, FileNotFoundError) as gone:
        raise TableVersionGone(
            f"version {readable.version} of the table was replaced meanwhile; ask again", version=readable.version
        ) from gone
