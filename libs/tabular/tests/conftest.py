"""Shared ways of writing a small file and reading it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dxmesh_schemas.catalog import DataItem
from dxmesh_tabular.chunk import ReadOptions
from dxmesh_tabular.items import REFUSED_SCHEMA, schema
from dxmesh_tabular.media import MediaType
from dxmesh_tabular.reading import read


@dataclass(frozen=True)
class Got:
    rows: pl.DataFrame
    refused: pl.DataFrame

    @property
    def cells(self) -> list[tuple[Any, ...]]:
        return self.rows.rows()

    @property
    def faults(self) -> list[tuple[int, str | None, str]]:
        return self.refused.select("row", "item", "rule").rows()


Reader = Callable[..., Got]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """Write bytes to a file and read them whole; the chunks must fit together."""

    def go(body: bytes, items: Sequence[DataItem], media: MediaType = MediaType.CSV, **options: Any) -> Got:
        path = tmp_path / "sent"
        path.write_bytes(body)
        chunks = list(read(path, media, items, options=ReadOptions(**options)))
        for chunk in chunks:
            assert chunk.rows.schema == schema(items)
            assert chunk.refused.schema == REFUSED_SCHEMA
        got = Got(pl.concat([chunk.rows for chunk in chunks]), pl.concat([chunk.refused for chunk in chunks]))
        assert got.rows["row_"].is_sorted()
        assert got.refused["row"].is_sorted()
        assert not set(got.rows["row_"]) & set(got.refused["row"])
        return got

    return go
