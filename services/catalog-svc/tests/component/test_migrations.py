from typing import Any

from catalog_svc import app
from catalog_svc.rows import Base
from dxmesh_runtime.testing import schema_diff


async def test_the_migrations_make_the_tables_the_code_knows(fresh_database: Any) -> None:
    assert app.create_app is not None, "the app's imports bring every table in"
    assert {"resource", "resource_step", "grant_in_force", "code_set"} <= set(Base.metadata.tables)
    assert await schema_diff(await fresh_database("catalog_svc"), Base.metadata) == []
