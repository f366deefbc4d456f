"""Explaining what is wrong with an agent's configuration before it runs: folders, databases, resources, one line each."""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from dxmesh_client.agent.config import Config, FolderSource, Job, TableSource
from dxmesh_client.agent.table import Database, described
from dxmesh_client.client import Client
from dxmesh_client.errors import ClientError, ProblemAnswer


class Finding(NamedTuple):
    """What was looked at; without `wrong` it is good."""

    job: str
    what: str
    wrong: str = ""


def check(config: Config, client: Client) -> Iterator[Finding]:
    """Yield what was looked at, for every job. Nothing is sent and nothing in a table is read but its description and counts."""
    for job in config.job:
        yield from _resource(job, client)
        if job.folder is not None:
            yield _folder(job, job.folder)
        if job.table is not None:
            yield from _table(job, job.table)


def _resource(job: Job, client: Client) -> Iterator[Finding]:
    what = f"resource {job.resource_id}"
    try:
        client.call("GET", f"{client.profile.exchange}/v1/resources/{job.resource_id}/batches", params={"limit": 1})
        yield Finding(job.name, what)
    except ProblemAnswer as problem:
        yield Finding(job.name, what, f"{problem}; write the id of a published resource of your organization")
    except ClientError as wrong:
        yield Finding(job.name, what, str(wrong))


def _folder(job: Job, source: FolderSource) -> Finding:
    what = f"folder {source.path}"
    if not source.path.is_dir():
        return Finding(job.name, what, "is no folder; create it, or correct folder.path")
    if not os.access(source.path, os.R_OK | os.W_OK | os.X_OK):
        return Finding(job.name, what, "may not be read and written by this user; files are moved out of it when they are sent")
    return Finding(job.name, f"{what}: {sum(1 for file in source.path.glob(source.pattern) if file.is_file())} files match")


def _table(job: Job, source: TableSource) -> Iterator[Finding]:
    what = f"table {source.table}"

    def look(connection: Any) -> list[Finding]:
        sa, table = database.sa, described(database, source, connection)
        found = [Finding(job.name, f"{what}: read by {', '.join(source.order)}")]
        empty = sa.or_(*(table.c[name].is_(None) for name in source.order))
        if count := connection.scalar(sa.select(sa.func.count()).select_from(table).where(empty)):
            detail = f"{count} rows have no value in {' or '.join(source.order)}: they are never sent; give them one"
            found.append(Finding(job.name, what, detail))
        if source.changed and not isinstance(table.c[source.changed].type, sa.Date | sa.DateTime):
            detail = f"{source.changed} is no date or time: rows of transactions that end late may be passed over; use a timestamp"
            found.append(Finding(job.name, what, detail))
        return found

    try:
        database = Database(source.address())
        yield from database.run(look)
    except ClientError as wrong:
        yield Finding(job.name, what, str(wrong))
