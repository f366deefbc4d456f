"""Read a version of a resource's table with pandas, through deltalake."""

import pandas as pd
import where
from deltalake import DeltaTable

url, version = where.table()
frame: pd.DataFrame = DeltaTable(url, version=version).to_pandas().drop(columns=["sequence_", "row_"])
print(f"pandas: version {version}, {len(frame)} rows")
print(frame.sort_values(frame.columns[0]).head(3).to_string(index=False))
