"""Alembic without an ini file: a service's migrations are the package `<service>.migrations.versions`."""

import asyncio
from importlib.resources import files

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_LOCK = 0x6D69_6772  # two replicas starting at once migrate one after the other


def _scripts(package: str) -> tuple[Config, ScriptDirectory]:
    config = Config()
    folder = files(package) / "migrations"
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    return config, ScriptDirectory(str(folder), version_locations=[str(folder / "versions")])


def _upgrade(connection: Connection, package: str) -> bool:
    config, scripts = _scripts(package)
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    heads = set(scripts.get_heads())
    if set(MigrationContext.configure(connection).get_current_heads()) == heads:
        return False
    context = EnvironmentContext(config, scripts, fn=lambda rev, _: scripts._upgrade_revs("head", rev))
    with context:
        context.configure(connection=connection, target_metadata=MetaData())
        context.run_migrations()
    return True


async def upgrade_engine(engine: AsyncEngine, package: str) -> bool:
    """Bring a database to the newest schema in one transaction; return whether anything was to be done."""
    async with engine.begin() as connection:
        return await connection.run_sync(_upgrade, package)


async def upgrade(url: str, package: str) -> bool:
    """Bring the database at url to the newest schema; return whether anything was to be done."""
    engine = create_async_engine(url)
    try:
        return await upgrade_engine(engine, package)
    finally:
        await engine.dispose()


def upgrade_now(url: str, package: str) -> bool:
    """Do the same from code that is not asynchronous."""
    return asyncio.run(upgrade(url, package))
