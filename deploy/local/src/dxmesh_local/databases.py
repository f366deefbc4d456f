"""Bringing the five databases to the newest schema before the services start."""

import ast
import asyncio
import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from dxmesh_local import wiring
from dxmesh_local.errors import LocalError, PartFailed

_URLS = "DXMESH_MIGRATE"  # JSON: package -> SQLAlchemy URL, for the child


async def behind(urls: Mapping[str, str]) -> dict[str, str]:
    """Return the databases that are not at the newest schema.

    Raises: LocalError when one cannot be reached.
    """
    return {package: url for package, url in urls.items() if await _is_behind(package, url)}


async def _is_behind(package: str, url: str) -> bool:
    try:
        connection = await asyncpg.connect(url.replace("postgresql+asyncpg://", "postgresql://", 1), timeout=10)
    except (OSError, asyncpg.PostgresError, TimeoutError, ValueError) as fault:
        host, port = wiring.host_and_port(url, 5432)
        raise LocalError(
            f"the database of {package} at {host}:{port} cannot be used ({fault or 'no answer'}):"
            f" create it or correct DATABASE__URL or DATABASE__URL_{package.upper()}"
        ) from fault
    try:
        if not await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
            return True
        return {row[0] for row in await connection.fetch("SELECT version_num FROM alembic_version")} != heads(package)
    finally:
        await connection.close()


def heads(package: str) -> set[str]:
    """Return the newest revisions of a service, read from its files without importing Alembic (0.8 s)."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise LocalError(f"{package} is not installed: run `make` in the repository again")
    revisions: set[object] = set()
    replaced: set[object] = set()
    for file in Path(found.submodule_search_locations[0]).glob("migrations/versions/*.py"):
        for name, value in _constants(file):
            if name == "revision":
                revisions.add(value)
            elif name == "down_revision" and value:
                replaced |= set(value) if isinstance(value, tuple) else {value}
    return {str(revision) for revision in revisions - replaced}


def _constants(file: Path) -> list[tuple[str, object]]:
    named = []
    for statement in ast.parse(file.read_text()).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant | ast.Tuple):
            named += [(target.id, ast.literal_eval(statement.value)) for target in statement.targets if isinstance(target, ast.Name)]
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value is not None:
            named.append((statement.target.id, ast.literal_eval(statement.value)))
    return named


def migrate(urls: Mapping[str, str], child_environment: Mapping[str, str], log: Path) -> None:
    """Migrate in a child of its own, so that the supervisor stays small.

    Raises: PartFailed with the reason.
    """
    from dxmesh_local import process

    with log.open("ab") as output:
        done = process.run([sys.executable, "-m", "dxmesh_local.databases"], {**child_environment, _URLS: json.dumps(dict(urls))}, output)
    if done:
        raise PartFailed("the migration", f"failed: {process.tail(log, 1)}", log)


async def _child() -> None:
    from dxmesh_runtime.migrate import upgrade

    # one after the other: Alembic's context belongs to the whole process
    for package, url in json.loads(os.environ[_URLS]).items():
        await upgrade(url, package)


if __name__ == "__main__":
    asyncio.run(_child())
