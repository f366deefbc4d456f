"""Sets of known values, built once and looked up in columns: codes of a code set, keys of another resource."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Self

import polars as pl

_SEED = 20_251_122
_FEW = 256  # so few that building the set again costs nothing


@dataclass(frozen=True)
class KnownValues:
    """A set of values, kept in the order of their hashes: about 25 bytes a value beside the values themselves."""

    values: pl.Series
    hashes: pl.Series
    collided: bool  # two values share a hash: the hashes alone cannot say where a value stands

    @classmethod
    def of(cls, values: pl.Series) -> Self:
        """Build the set; nulls and repeats are left out."""
        distinct = values.drop_nulls().unique()
        hashes = distinct.hash(_SEED)
        order = hashes.arg_sort()
        ordered = hashes.gather(order)
        return cls(distinct.gather(order), ordered, bool((ordered == ordered.shift(1)).any()))

    def __len__(self) -> int:
        return self.values.len()

    @property
    def byte_count(self) -> int:
        """Return about how much memory the set takes."""
        return int(self.values.estimated_size() + self.hashes.estimated_size())

    def absent(self, values: pl.Expr, height: int) -> pl.Expr:
        """Say of each of `height` values, of the type of this set, whether it is not in the set; null is never absent.

        A set much larger than the column is not hashed anew for it: a value's hash says where it would stand, what stands there is
        compared.
        """
        if len(self) == 0:
            return values.is_not_null()
        if self.collided or len(self) <= max(height, _FEW):
            return (~values.is_in(pl.lit(self.values.implode()))).fill_null(value=False)
        place = pl.lit(self.hashes).search_sorted(values.hash(_SEED), side="left").clip(upper_bound=len(self) - 1)
        return (pl.lit(self.values).gather(place) != values).fill_null(value=False)


@dataclass(frozen=True)
class Codes:
    """A code set at one version, or why it cannot be looked into."""

    name: str
    version: int | None
    known: KnownValues | None


@dataclass(frozen=True)
class Referenced:
    """The values an item of another resource holds; `known` has several parts when the batch itself counts as well."""

    resource: str  # its name, or its id when it is not known
    item: str
    parts: tuple[KnownValues, ...]  # each of the type of the item that refers
    missing: str | None = None  # why there is nothing to look into


@dataclass(frozen=True)
class Facts:
    """What rules need beside the rows, by the code of the item that is checked."""

    codes: Mapping[str, Codes] = field(default_factory=dict)
    referenced: Mapping[str, Referenced] = field(default_factory=dict)
    today: date | None = None  # the last day anyone can be born on; None means today in China
