"""Finding what a resource's rules need beside the rows: its code sets, and the values its items refer to."""

import asyncio
from collections.abc import Sequence

import polars as pl
from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_schemas.catalog import CodeSetRef, DataItem, ItemReference, ResourceSnapshot
from dxmesh_schemas.exchange import BatchKind
from dxmesh_tabular.items import polars_type
from quality_svc.assessment.bench import Bench
from quality_svc.catalog import store as catalog
from quality_svc.rule.domain import Rule, RuleKind
from quality_svc.rule.known import Codes, Facts, KnownValues, Referenced


async def find(tx: AsyncSession, bench: Bench, resource: ResourceSnapshot, kind: BatchKind, rules: Sequence[Rule]) -> Facts:
    """Return the facts for a batch of this kind, as they stand now.

    A code set without a version means its newest. A code set or table that is not here yet holds nothing: rows with a value then fail.
    A snapshot replaces the whole table, so a reference within the resource resolves to the snapshot's own rows only.
    """
    coded = [(rule.one, rule.one.code_set) for rule in rules if rule.kind is RuleKind.CODE_SET and rule.one.code_set is not None]
    referring = [(rule.one, rule.one.reference) for rule in rules if rule.kind is RuleKind.REFERENCE and rule.one.reference is not None]
    return Facts(await _codes(tx, bench, coded), await _referenced(tx, bench, resource, kind, referring))


async def _codes(tx: AsyncSession, bench: Bench, coded: Sequence[tuple[DataItem, CodeSetRef]]) -> dict[str, Codes]:
    published = await catalog.list_code_set_versions(tx, {ref.name for _, ref in coded})
    found = {}
    for item, ref in coded:
        newest = max((version for name, version in published if name == ref.name), default=None)
        version = ref.version or newest
        known = None
        if version is not None and (ref.name, version) in published:
            known = bench.known.find((ref.name, version))
            if known is None:
                values = pl.Series(await catalog.get_codes(tx, ref.name, version), dtype=pl.String)
                known = bench.known.keep((ref.name, version), KnownValues.of(values))
        found[item.code] = Codes(ref.name, version, known)
    return found


async def _referenced(
    tx: AsyncSession, bench: Bench, resource: ResourceSnapshot, kind: BatchKind, referring: Sequence[tuple[DataItem, ItemReference]]
) -> dict[str, Referenced]:
    wanted = {ref.resource_id for _, ref in referring}
    names, tables = await catalog.list_names(tx, wanted), await catalog.list_tables(tx, wanted)
    found = {}
    for item, ref in referring:
        own = ref.resource_id == resource.resource_id
        name = f"the resource {names.get(ref.resource_id, ref.resource_id)}"
        table = None if own and kind is BatchKind.SNAPSHOT else tables.get(ref.resource_id)
        found[item.code] = await _values(bench, item, ref, name, table, own=own and resource.item(ref.item) is not None)
    return found


async def _values(
    bench: Bench, item: DataItem, ref: ItemReference, name: str, table: catalog.ResourceTable | None, *, own: bool
) -> Referenced:
    if table is None:
        return Referenced(name, ref.item, (), None if own else f"{name} holds no rows yet")
    known = await asyncio.to_thread(bench.table_values, table.table_key, table.table_version, ref.item, polars_type(item))
    if known is None:
        return Referenced(name, ref.item, (), None if own else f"{name} has no item {ref.item}")
    return Referenced(name, ref.item, (known,))
