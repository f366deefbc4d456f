"""Read a version of a resource's table with polars, only the columns and rows that are asked for."""

import polars as pl
import where

url, version = where.table()
rows = pl.scan_delta(url, version=version)
newest = rows.select(pl.exclude("sequence_", "row_")).sort(pl.nth(0)).head(3).collect()
print(f"polars: version {version}, {rows.select(pl.len()).collect().item()} rows")
print(newest)
