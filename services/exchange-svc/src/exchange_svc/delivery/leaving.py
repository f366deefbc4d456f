"""What of gathered rows leaves for a view: the rows its filter lets pass, masked, and a word on those that readers had and lose."""

from collections.abc import Iterator, Sequence

import polars as pl

from dxmesh_tabular.items import ROW
from exchange_svc.delivery.domain import Unit
from exchange_svc.delivery.members import Following
from exchange_svc.delivery.projection import CHUNK_ROWS, GONE, KEY, counts_of, deletes, key_text, owners_of
from exchange_svc.enforcement.filters import passes
from exchange_svc.enforcement.rows import TokenKeys, mask

_UNIT = "_unit"


def is_followed(unit: Unit) -> bool:
    """Say whether it is kept which keys the readers have: of a view with a filter whose records have keys."""
    return bool(unit.view.where and unit.view.key)


def leaving(
    frame: pl.DataFrame, unit: Unit, counts: Sequence[int], keys: TokenKeys, following: Following | None
) -> tuple[pl.DataFrame, list[int]]:
    """Return what leaves of rows of units like this one, so many of each, and how many of each leave.

    Without a filter every row leaves, and a snapshot's keys are noted. With one, a row that does not pass leaves as a deletion if it takes
    the place of one that readers have, and not at all otherwise: not even its key is told. Of a view without a key nobody can be told
    what is gone. Where changed terms take rows back, readers have by the former view what its filter let out.
    """
    view, formerly = unit.view, None
    if not view.where:
        shown = mask(frame, view, keys)
        if following is not None:
            key = key_text(shown, view.key)
            following.see(key)
            shown = shown.with_columns(key.alias(KEY))
        return shown, list(counts)
    if deletes(unit):  # such a batch may have keys alone
        passed = pl.repeat(value=False, n=len(frame), dtype=pl.Boolean, eager=True)
    else:
        passed = frame.select(passes(view.where, frame.schema).alias("passed")).to_series()
        if view.former_where is not None:
            formerly = frame.select(passes(view.former_where, frame.schema).alias("formerly")).to_series()
    if (owners := owners_of(counts)) is not None:
        frame = frame.with_columns(owners.alias(_UNIT))
    if following is None:
        shown = mask(frame.filter(passed), view, keys)
    else:
        frame = mask(frame, view, keys, besides=[item for item in view.items if item not in view.key])
        key = key_text(frame, view.key)
        lost = following.losing(key, passed, unit.dispatch.kind, unit.dispatch.sequence, formerly)
        left = frame.with_columns(key.alias(KEY), lost.alias(GONE)).filter(passed | lost)
        shown = mask(left, view, keys, besides=view.key)
    left_of = counts_of(shown.get_column(_UNIT, default=None), len(shown), len(counts))
    return shown.drop(_UNIT, strict=False), left_of


def vanishing(following: Following, *, last_row: int, is_whole: bool) -> Iterator[pl.DataFrame]:
    """Yield the deletions of keys that readers have and a snapshot has not, once all its rows went by `leaving`.

    They have the row numbers that follow the batch's last. is_whole: whether none of its rows was withheld.
    """
    for gone in following.vanished(is_whole=is_whole):
        for keys in gone.to_frame(KEY).iter_slices(CHUNK_ROWS):
            rows = pl.int_range(last_row + 1, last_row + 1 + len(keys), dtype=pl.UInt32, eager=True)
            yield keys.with_columns(rows.alias(ROW), pl.lit(value=True).alias(GONE))
            last_row += len(keys)
