"""What makes the log grow, and what checks it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from audit_svc.log import domain, store
from audit_svc.log.errors import TreeCorrupt
from dxmesh_runtime.consumer import Incoming


async def append(tx: AsyncSession, events: Sequence[Incoming], *, now: datetime) -> store.Tree:
    """Give each event that has no entry yet the next place in the tree; return the new head, locked until the transaction ends.

    The head's row is locked first, so appenders follow one another; the stored edge must give the stored root before it grows.
    Raises: EntryTooLarge (422), TreeCorrupt.
    """
    tree = await store.get_tree(tx, lock=True)
    logged = await store.logged_events(tx, [event.meta.event_id for event in events])
    fresh: dict[object, store.NewEntry] = {}
    for event in events:
        meta = event.meta
        if meta.event_id in logged or meta.event_id in fresh:
            continue
        key = event.event.key if event.event is not None else None
        leaf = domain.entry_bytes(meta, topic=event.topic, key=key, payload=event.payload)
        fresh[meta.event_id] = store.NewEntry(meta.event_id, meta.event_type, event.topic, leaf, event.payload)
    if not fresh:
        return tree
    entries = list(fresh.values())
    edge = await store.load_tiles(tx, domain.edge(tree.size))
    _demand(domain.range_hash((0, tree.size), edge) == tree.root_hash, f"the tiles of {tree.size} leaves do not give the stored root")
    grown = domain.append(tree.size, edge, [domain.leaf_hash(entry.entry) for entry in entries])
    size = tree.size + len(entries)
    await store.add_entries(tx, tree.size, entries, now=now)
    await store.store_tiles(tx, grown)
    await store.set_head(tx, size, domain.range_hash((0, size), edge | grown))
    await tx.refresh(tree)
    return tree


async def check_head(tx: AsyncSession) -> store.Tree:
    """Check that the stored tiles give the stored root and that the last tile's leaves are the entries; return the head.

    Raises: TreeCorrupt saying what contradicts what. Costs one tile a level, whatever the size.
    """
    tree = await store.get_tree(tx, lock=True)
    [root] = await store.hashes_of(tx, [(0, tree.size)])
    _demand(root == tree.root_hash, f"the tiles of {tree.size} leaves give the root {root.hex()}, stored is {tree.root_hash.hex()}")
    first = max(tree.size - 1, 0) // domain.TILE_WIDTH * domain.TILE_WIDTH
    faults = await find_faults(tx, first, tree.size)
    _demand(not faults, "; ".join(reason for _, reason in faults))
    newest = await store.list_newest(tx, 1)
    _demand((newest[0].place + 1 if newest else 0) == tree.size, f"the head says {tree.size} entries; the newest entry does not fit to it")
    return tree


async def find_faults(tx: AsyncSession, first: int, end: int) -> list[tuple[int, str]]:
    """Recompute every leaf from `first` (a multiple of 256) to before `end`; return (index, reason) of each contradiction.

    An entry must be there, hash to what its tile says, and commit to its payload; a full tile must fold to what its parent says.
    """
    faults: list[tuple[int, str]] = []
    numbers = range(first // domain.TILE_WIDTH, -(-end // domain.TILE_WIDTH))
    below = await store.load_tiles(tx, [domain.TileId(0, number) for number in numbers])
    above = await store.load_tiles(tx, {domain.TileId(1, number // domain.TILE_WIDTH) for number in numbers})
    entries = {index: (leaf, payload) for index, leaf, payload in await store.list_entries(tx, first, end)}
    for number in numbers:
        tile = below.get(domain.TileId(0, number), b"")
        begin = number * domain.TILE_WIDTH
        for index in range(begin, min(begin + domain.TILE_WIDTH, end)):
            if index not in entries:
                faults.append((index, f"entry {index} is missing"))
                continue
            leaf, payload = entries[index]
            at = (index - begin) * domain.HASH_BYTES
            if tile[at : at + domain.HASH_BYTES] != domain.leaf_hash(leaf):
                faults.append((index, f"entry {index} is not the one in the tree"))
            if not domain.commits_to(leaf, payload):
                faults.append((index, f"the payload of entry {index} is not the one the entry commits to"))
        if begin + domain.TILE_WIDTH <= end and not domain.is_parent(
            above.get(domain.TileId(1, number // domain.TILE_WIDTH), b""), number, tile
        ):
            faults.append((begin, f"tile 0/{number} is not the one in the tree"))
    return faults


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise TreeCorrupt(otherwise)
