"""Follow a resource's table with deltalake: what its versions changed, and the rows that came with the newest batch."""

import pyarrow.compute as pc
import where
from deltalake import DeltaTable

url, version = where.table()
table = DeltaTable(url, version=version)
rows = table.to_pyarrow_dataset()
last = pc.max(rows.to_table(columns=["sequence_"])["sequence_"]).as_py()
print(f"deltalake: version {table.version()}, {rows.count_rows()} rows")
print(f"the newest batch in it, {last}, has {rows.count_rows(filter=pc.field('sequence_') == last)} of them")
for entry in table.history(3):
    print(entry.get("version"), entry["operation"])
