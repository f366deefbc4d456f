"""Running a resource's rules on the rows of its batches: columns in, counts and two files a batch out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from uuid import UUID

import polars as pl

from dxmesh_schemas.catalog import DataItem, ResourceSnapshot
from dxmesh_schemas.quality import RuleResult
from dxmesh_tabular.items import REFUSED_SCHEMA, ROW, polars_type
from dxmesh_tabular.json_rows import row_json
from quality_svc.assessment.columns import CHUNK_LINES, CHUNK_ROWS, chunks, merged, write
from quality_svc.rule import expressions
from quality_svc.rule.domain import AT_INTAKE, DIMENSIONS, Rule, RuleKind
from quality_svc.rule.known import Facts, KnownValues

BATCH = "batch_"
"""System column: which batch of a sheet a row belongs to."""
_HASH_SEED = 36_344
_LINE_SHARE = 8  # of a frame's rows, spelled out at once: each may have a line per rule
_LEAST_LINE_ROWS = 64
_PLANNED_ROWS = 8192


@dataclass(frozen=True)
class Work:
    """A batch to check: its rows, and the lines refused at intake."""

    batch_id: UUID
    received_count: int
    rows: Path
    rows_count: int
    refused: Path | None
    refused_line_count: int
    chunk_rows: int = CHUNK_ROWS  # rows to hold at once; a batch of more is checked in pieces


@dataclass(frozen=True)
class Checked:
    """What the rules said of a batch.

    `accepted` is None when every row is good: the batch's own rows stand. `quarantine` is None when no row broke a rule here; the
    lines refused at intake, if any, then stand by themselves.
    """

    batch_id: UUID
    bad_row_count: int  # distinct, among the rows that could be read
    results: tuple[RuleResult, ...]
    accepted: Path | None = None
    accepted_count: int = 0
    quarantine: Path | None = None
    quarantine_line_count: int = 0


@dataclass(frozen=True)
class Plan:
    """The rules of a resource's version for a kind of batch, and what they need beside the rows."""

    resource: ResourceSnapshot
    rules: tuple[Rule, ...]
    facts: Facts

    @property
    def running(self) -> list[Rule]:
        """Return the rules that look at rows here."""
        return [rule for rule in self.rules if rule.kind not in AT_INTAKE]

    @property
    def key(self) -> tuple[str, ...]:
        """Return the key items that must be unique; empty when nothing must be."""
        return next((rule.columns for rule in self.rules if rule.kind is RuleKind.UNIQUE), ())

    @property
    def own_references(self) -> list[tuple[DataItem, str]]:
        """Return the items that refer to an item of the same resource, with that item's code."""
        own = []
        for rule in self.rules:
            to = rule.one.reference if rule.kind is RuleKind.REFERENCE else None
            if to is not None and to.resource_id == self.resource.resource_id and self.resource.item(to.item) is not None:
                own.append((rule.one, to.item))
        return own


_Rows = Callable[[Sequence[str]], Iterator[pl.DataFrame]]  # columns → frames


class _Tally:
    """Counts per batch and rule, and the masks of good rows per chunk."""

    def __init__(self, works: int, rules: int) -> None:
        self.checked = [[0] * rules for _ in range(works)]
        self.failed = [[0] * rules for _ in range(works)]
        self.bad = [0] * works
        self.good: list[pl.Series | None] = []


def check(plan: Plan, works: Sequence[Work], folder: Path) -> list[Checked]:
    """Check batches of one resource version and kind; several small ones go through the rules as one frame.

    Writes `{batch_id}.accepted.parquet` and `{batch_id}.quarantine.parquet` into the folder for a batch with bad rows.
    Memory: one piece of at most 131,072 rows and about 64 MB, with its masks and the lines of an eighth of it, so some 300 MB whatever
    the batch's size; beside it 8 bytes a row for a resource with a key (16 while they are sorted), the keys of repeated rows, and the
    distinct values of an item that the same resource refers to.
    """
    together = [work for work in works if work.rows_count <= work.chunk_rows]
    if together and not plan.own_references:
        checked = _check_together(plan, together, folder)
    else:
        checked = [one for work in together for one in _check_together(plan, [work], folder)]
    return checked + [_check_in_chunks(plan, work, folder) for work in works if work.rows_count > work.chunk_rows]


def _check_together(plan: Plan, works: Sequence[Work], folder: Path) -> list[Checked]:
    frames = [pl.read_parquet(work.rows, glob=False) for work in works]
    whole = frames[0] if len(frames) == 1 else pl.concat(_tagged(frame, index) for index, frame in enumerate(frames))
    plan = _with_own_values(plan, lambda columns: iter([whole[list(columns)]]))
    repeats = _repeats(plan.key, lambda columns: iter([whole[list(columns)]]), tagged=len(works) > 1)
    tally = _Tally(len(works), len(plan.running))
    lines = list(_broken_lines(plan, whole, repeats, tally))
    good = tally.good[0]
    checked = []
    start = 0
    for index, (work, frame) in enumerate(zip(works, frames, strict=True)):
        if good is None or tally.bad[index] == 0:
            checked.append(Checked(work.batch_id, 0, _results(plan, work, tally, index)))
        else:
            own = (part for part in (line.filter(pl.col(BATCH) == index).drop(BATCH) for line in lines) if part.height)
            kept = iter([frame.filter(good.slice(start, frame.height))])
            checked.append(_written(plan, work, tally, index, own, kept, folder))
        start += frame.height
    return checked


def _tagged(frame: pl.DataFrame, index: int) -> pl.DataFrame:
    return frame.with_columns(pl.lit(index, dtype=pl.UInt32).alias(BATCH))


def _check_in_chunks(plan: Plan, work: Work, folder: Path) -> Checked:
    def rows(columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        return chunks(work.rows, work.rows_count, work.chunk_rows, columns)

    plan = _with_own_values(plan, rows)
    repeats = _repeats(plan.key, rows, tagged=False)
    tally = _Tally(1, len(plan.running))
    lines = (line.drop(BATCH) for chunk in rows() for line in _broken_lines(plan, chunk, repeats, tally))
    first = next(lines, None)
    if first is None:
        return Checked(work.batch_id, 0, _results(plan, work, tally, 0))
    kept = (chunk if good is None else chunk.filter(good) for chunk, good in zip(rows(), tally.good, strict=True))
    return _written(plan, work, tally, 0, chain([first], lines), kept, folder)


def _written(
    plan: Plan, work: Work, tally: _Tally, index: int, lines: Iterator[pl.DataFrame], kept: Iterator[pl.DataFrame], folder: Path
) -> Checked:
    """Write a batch's quarantine, then (once every chunk has been checked) its accepted rows."""
    refused: Iterator[pl.DataFrame] = iter(())
    if work.refused is not None:
        pieces = chunks(work.refused, work.refused_line_count, CHUNK_LINES, list(REFUSED_SCHEMA))
        refused = (piece.sort("row", maintain_order=True) for piece in pieces)
    accepted, quarantine = (folder / f"{work.batch_id}.{name}.parquet" for name in ("accepted", "quarantine"))
    line_count = write(merged(refused, lines, "row"), quarantine)
    row_count = write(kept, accepted)
    return Checked(work.batch_id, tally.bad[index], _results(plan, work, tally, index), accepted, row_count, quarantine, line_count)


def _with_own_values(plan: Plan, rows: _Rows) -> Plan:
    """Let references to the resource itself resolve to rows of the batch as well, whatever else is wrong with those rows."""
    if not plan.own_references:
        return plan
    referenced = dict(plan.facts.referenced)
    for item, column in plan.own_references:
        values = pl.concat(frame[column].unique() for frame in rows([column])).cast(polars_type(item), strict=False)
        fact = referenced[item.code]
        referenced[item.code] = replace(fact, parts=(*fact.parts, KnownValues.of(values)))
    return replace(plan, facts=replace(plan.facts, referenced=referenced))


def _repeats(key: tuple[str, ...], rows: _Rows, *, tagged: bool) -> pl.DataFrame | None:
    """Return the rows whose key an earlier row of their batch has, with the number of the first; None when there are none.

    Hashes find the keys that may repeat, the keys themselves decide. A row without its whole key repeats nothing.
    """
    if not key:
        return None
    named = [BATCH, *key] if tagged else list(key)
    hashes = pl.concat(_hashes(frame, key) for frame in rows(named)).drop_nulls().sort()
    if not (hashes == hashes.shift(1)).any():
        return None
    suspects = hashes.filter(hashes == hashes.shift(1)).unique(maintain_order=True)
    found = pl.concat(frame.filter(_stands_in(suspects, _hashes(frame.drop(ROW), key))) for frame in rows([ROW, *named]))
    first = pl.col(ROW).min().over(named).alias(expressions.FIRST_ROW)
    repeats = found.select(*named[:1] if tagged else (), ROW, first).filter(pl.col(ROW) > pl.col(expressions.FIRST_ROW))
    return repeats if repeats.height else None


def _hashes(frame: pl.DataFrame, key: tuple[str, ...]) -> pl.Series:
    hashes = frame.hash_rows(_HASH_SEED)
    if any(frame[code].null_count() for code in key):
        whole = frame.select(pl.all_horizontal(pl.col(code).is_not_null() for code in key)).to_series()
        return hashes.set(~whole, None)
    return hashes


def _stands_in(ordered: pl.Series, values: pl.Series) -> pl.Series:
    place = ordered.search_sorted(values, side="left").clip(upper_bound=ordered.len() - 1)
    return (ordered.gather(place) == values).fill_null(value=False)


def _broken_lines(plan: Plan, frame: pl.DataFrame, repeats: pl.DataFrame | None, tally: _Tally) -> Iterator[pl.DataFrame]:
    """Run the rules on a frame in one pass, count, and yield a line per row and broken rule, for the bad rows only."""
    if repeats is not None:
        frame = frame.join(repeats, on=[name for name in (BATCH, ROW) if name in repeats.columns], how="left", maintain_order="left")
    found = {
        number: expressions.broken(rule, plan.facts, frame.height).alias(str(number))
        for number, rule in enumerate(plan.running)
        if rule.kind is not RuleKind.UNIQUE or repeats is not None
    }
    masks = _run(frame, list(found.values())) if found else pl.DataFrame()
    failed = {number: masks[str(number)].sum() for number in found}
    broken = masks[[str(number) for number, count in failed.items() if count]]
    _count(tally, frame, plan.running, broken)
    if broken.is_empty():
        tally.good.append(None)
        return
    bad = broken.select(pl.any_horizontal(pl.all())).to_series()
    tally.good.append(~bad)
    rows, broken = frame.filter(bad), broken.filter(bad)
    if BATCH not in rows.columns:
        rows = _tagged(rows, 0)
    for index, count in rows[BATCH].value_counts().iter_rows():
        tally.bad[index] += count
    at_once = max(frame.height // _LINE_SHARE, _LEAST_LINE_ROWS)
    for offset in range(0, rows.height, at_once):
        yield _lines(plan, rows.slice(offset, at_once), broken.slice(offset, at_once))


def _run(frame: pl.DataFrame, masks: Sequence[pl.Expr]) -> pl.DataFrame:
    """Evaluate every mask in one pass; planning what they share (a check digit's bytes) pays from some thousand rows on."""
    return frame.select(masks) if frame.height < _PLANNED_ROWS else frame.lazy().select(masks).collect()


def _count(tally: _Tally, frame: pl.DataFrame, rules: Sequence[Rule], broken: pl.DataFrame) -> None:
    """Add up, per batch and rule, the values looked at (every row for `required`, else rows whose items are filled) and the failures."""
    if BATCH not in frame.columns:
        pieces = {0: (frame, broken)}
    else:
        order = frame[BATCH].unique(maintain_order=True).to_list()
        pieces, start = {}, 0
        for index, height in zip(order, frame[BATCH].rle().struct.field("len").to_list(), strict=True):
            pieces[index] = (frame.slice(start, height), broken.slice(start, height))
            start += height
    for index, (rows, masks) in pieces.items():
        for number, rule in enumerate(rules):
            tally.checked[index][number] += rows.height if rule.kind is RuleKind.REQUIRED else _filled(rows, rule.columns)
            if str(number) in masks.columns:
                tally.failed[index][number] += int(masks[str(number)].sum())


def _filled(rows: pl.DataFrame, columns: Sequence[str]) -> int:
    empty = [code for code in columns if rows[code].null_count()]
    if len(empty) < 2:
        return rows.height - sum(rows[code].null_count() for code in empty)
    return int(rows.select(pl.all_horizontal(pl.col(code).is_not_null() for code in empty).sum()).item())


def _lines(plan: Plan, rows: pl.DataFrame, masks: pl.DataFrame) -> pl.DataFrame:
    """Spell out broken rules: columns batch_, row, item, rule, reason, value, record; in the order of rows, then of rules."""
    recorded = rows.with_columns(row_json(rows, plan.resource.items).alias("record"))
    pieces = [
        recorded.filter(masks[str(number)]).select(
            BATCH,
            pl.col(ROW).alias("row"),
            pl.lit(rule.item, dtype=pl.String).alias("item"),
            pl.lit(rule.kind.value).alias("rule"),
            expressions.reason(rule, plan.facts).alias("reason"),
            expressions.value(rule).alias("value"),
            "record",
        )
        for number, rule in enumerate(plan.running)
        if str(number) in masks.columns and masks[str(number)].any()
    ]
    return pl.concat(pieces).sort(BATCH, "row", maintain_order=True)


def _results(plan: Plan, work: Work, tally: _Tally, index: int) -> tuple[RuleResult, ...]:
    """Return what each rule found, those of intake from the refused lines; a fault no rule foresees has a result of its own."""
    refused = _refused_counts(work)
    unread = sum(count for (rule, _), count in refused.items() if rule == RuleKind.READABLE)
    results = []
    running = iter(zip(tally.checked[index], tally.failed[index], strict=True))
    for rule in plan.rules:
        if rule.kind in AT_INTAKE:
            checked = work.received_count - (unread if rule.kind is RuleKind.TYPE else 0)
            failed = refused.pop((rule.kind.value, rule.item), 0)
        else:
            checked, failed = next(running)
        results.append(_result(rule.kind, rule.item, checked, failed))
    results += [_result(rule, item, work.received_count, count) for (rule, item), count in sorted(refused.items(), key=str)]
    return tuple(results)


def _refused_counts(work: Work) -> dict[tuple[str, str | None], int]:
    if work.refused is None:
        return {}
    lines = pl.scan_parquet(work.refused, glob=False).group_by("rule", "item").agg(pl.col("row").n_unique()).collect()
    return {(rule, item): count for rule, item, count in lines.iter_rows()}


def _result(rule: str, item: str | None, checked: int, failed: int) -> RuleResult:
    local, gb = DIMENSIONS[RuleKind(rule)] if rule in set(RuleKind) else DIMENSIONS[RuleKind.READABLE]
    return RuleResult(rule=rule, item=item, dimension_local=local, dimension_gb=gb, checked_count=checked, failed_count=failed)
