"""The rows every benchmark uses: 10 columns, about 230 bytes as CSV, 12 and more rules."""

from datetime import date
from pathlib import Path

import polars as pl

ITEMS = [
    {"code": "id", "name": "编号", "data_type": "C", "required": True, "length": 24, "pattern": "[0-9]{8}-[0-9]{10}"},
    {"code": "name", "name": "名称", "data_type": "C", "required": True, "length": 60},
    {"code": "division", "name": "行政区划", "data_type": "C", "required": True, "format": "division"},
    {"code": "state", "name": "状态", "data_type": "C", "required": True, "enumeration": ["在营", "停业", "注销"]},
    {"code": "employees", "name": "从业人数", "data_type": "I", "minimum": 0, "maximum": 1000000},
    {"code": "capital", "name": "注册资本", "data_type": "Y", "minimum": 0},
    {"code": "opened_on", "name": "成立日期", "data_type": "D", "required": True},
    {"code": "changed_at", "name": "变更时间", "data_type": "T", "required": True},
    {"code": "address", "name": "地址", "data_type": "C", "length": 200},
    {"code": "note", "name": "备注", "data_type": "M", "length": 200},
]
RULES = 16  # required 6, length 4, pattern 1, format 1, enumeration 1, range 2, unique key 1


def frame(rows: int, start: int = 0) -> pl.DataFrame:
    """Return `rows` distinct good rows."""
    return numbered(pl.int_range(start, start + rows, eager=True))


def numbered(number: pl.Series) -> pl.DataFrame:
    """Return the rows of these numbers."""
    return pl.DataFrame({"n": number}).select(
        id=pl.format("33060200-{}", (pl.col("n") + 1_000_000_000).cast(pl.String)),
        name=pl.format("示例市第{}号企业有限责任公司", pl.col("n")),
        division=(330600 + pl.col("n") % 7).cast(pl.String),
        state=pl.Series(["在营", "停业", "注销"]).gather((number % 3).cast(pl.UInt32)),
        employees=pl.col("n") % 5000,
        capital=((pl.col("n") * 37) % 100_000_000 / 100).round(2),
        opened_on=pl.lit(date(2001, 1, 1)) + pl.duration(days=pl.col("n") % 9000),
        changed_at=(pl.datetime(2026, 1, 1) + pl.duration(seconds=pl.col("n") % 20_000_000)).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        address=pl.format("示例省示例市示例区人民路{}号创新大厦A座", pl.col("n") % 9999),
        note=pl.format("登记机关核准第{}号,经营期限长期", pl.col("n") % 100_000),
    )


def csv_file(folder: Path, rows: int, start: int = 0) -> Path:
    """Write rows as a CSV file and return it."""
    path = folder / f"rows-{start}-{rows}.csv"
    frame(rows, start).write_csv(path)
    return path
