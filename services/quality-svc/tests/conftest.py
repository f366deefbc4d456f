"""What tests of quality-svc share: resources to check against, and frames written as batch objects."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import polars as pl
import pytest

from dxmesh_schemas.catalog import DataItem, ResourceSnapshot
from dxmesh_tabular.items import REFUSED_SCHEMA, schema
from quality_svc.assessment.checking import Work

PROVIDER = {"organization_id": UUID(int=1), "uscc": "11330600002577315L", "name": "市民政局", "division_code": "330600"}
AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="session")
def make_resource() -> Callable[..., ResourceSnapshot]:
    """Return a maker of published resources from their items."""

    def make(*items: DataItem, **terms: Any) -> ResourceSnapshot:
        usual: dict[str, Any] = {
            "resource_id": uuid4(),
            "version": 1,
            "resource_code": "330600/000001",
            "name": "街道名录",
            "summary": "全市街道",
            "class_path": "民政",
            "provider": PROVIDER,
            "system_id": UUID(int=2),
            "sharing_type": "UNCONDITIONAL",
            "open_type": "UNCONDITIONAL",
            "update_cycle": "MONTHLY",
            "schema_url": "https://catalog.test/schema.json",
            "published_at": AT,
        }
        return ResourceSnapshot.model_validate({**usual, "items": items, **terms})

    return make


@pytest.fixture(scope="session")
def frame_of() -> Callable[..., pl.DataFrame]:
    """Return a maker of batch frames: rows as dicts by item code, numbered from 1 unless `numbers` are given."""

    def make(resource: ResourceSnapshot, rows: list[dict[str, Any]], numbers: list[int] | None = None) -> pl.DataFrame:
        numbered = [{"row_": number, **row} for number, row in zip(numbers or range(1, len(rows) + 1), rows, strict=True)]
        return pl.DataFrame(numbered, schema=schema(resource.items))

    return make


@pytest.fixture
def make_work(tmp_path: Path) -> Callable[..., Work]:
    """Return a writer of batches for `check`: rows, and refused lines (row, item, rule) if any."""

    def make(frame: pl.DataFrame, refused: list[tuple[int, str | None, str]] | None = None, row_group_size: int | None = None) -> Work:
        batch_id = uuid4()
        rows = tmp_path / f"{batch_id}.rows.parquet"
        frame.write_parquet(rows, row_group_size=row_group_size)
        lines = [(row, item, rule, f"{item or 'the line'} cannot be read", "?", "{}") for row, item, rule in refused or []]
        path = None
        if lines:
            path = tmp_path / f"{batch_id}.refused.parquet"
            pl.DataFrame(lines, schema=REFUSED_SCHEMA, orient="row").write_parquet(path)
        received = frame.height + len({row for row, *_ in lines})
        return Work(batch_id, received, rows, frame.height, path, len(lines))

    return make
