"""Ask a version of a resource's table in SQL with duckdb; its own Delta extension is not needed."""

import duckdb
import where
from deltalake import DeltaTable

url, version = where.table()
resource = DeltaTable(url, version=version).to_pyarrow_dataset()
connection = duckdb.connect()
[(count,)] = connection.sql("SELECT count(*) FROM resource").fetchall()
print(f"duckdb: version {version}, {count} rows")
print(connection.sql("SELECT sequence_ AS batch, count(*) AS row_count FROM resource GROUP BY 1 ORDER BY 1"))
