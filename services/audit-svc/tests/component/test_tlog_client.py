"""The served log is read by golang.org/x/mod's sumdb, which knows nothing of us, and refuses each kind of tampering."""

import asyncio
import os
import shutil
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from audit_svc import worker
from audit_svc.app import create_app
from audit_svc.checkpoint.domain import Head
from audit_svc.log import commands
from dxmesh_runtime.consumer import Incoming
from dxmesh_runtime.db import utc_now, uuid7
from dxmesh_runtime.testing import incoming, listening
from dxmesh_schemas.catalog_events import SystemRegistered
from dxmesh_schemas.event import Meta

_SOURCE = Path(__file__).parents[1] / "tlog_verify"
_BUILD_SECONDS = 300


async def run(*command: object, **environment: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=_SOURCE,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _BUILD_SECONDS)
    except TimeoutError:
        process.kill()
        raise
    return process.returncode or 0, output.decode()


@pytest.fixture(scope="module")
async def verifier(tmp_path_factory) -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed: the log is not read by golang.org/x/mod here")
    binary = tmp_path_factory.mktemp("tlog") / "tlog_verify"
    code, output = await run(go, "build", "-mod=readonly", "-o", binary, ".")
    if code and "dial tcp" in output:
        pytest.skip(f"golang.org/x/mod cannot be fetched here: {output.strip().splitlines()[-1]}")
    assert code == 0, output
    return binary


@pytest.fixture
async def url(log):
    """The log on a real port."""
    async with listening(create_app(log.settings)) as url:
        yield url


async def grow(log, *sizes):
    for size in sizes:
        await log.record(
            *(incoming(SystemRegistered(system_id=UUID(int=n), organization_id=UUID(int=1), name="x" * (n % 99))) for n in range(size))
        )


async def test_every_entry_tile_and_proof_of_the_served_log_is_verified(log, url, verifier):
    await grow(log, 1)
    assert await run(verifier, url, log.signer.log_key) == (0, "verified 1 entries\n")
    await grow(log, 254, 1, 1, 500)
    assert await run(verifier, url, log.signer.log_key) == (0, "verified 757 entries\n")


async def test_a_log_of_three_levels_is_verified(log, url, verifier):
    now = utc_now()
    for _ in range(14):
        events = [Incoming(Meta(uuid7(), "t", "/s", now), None, b"", "t", 0, 0) for _ in range(4700)]
        async with log.sessions.begin() as tx:
            await commands.append(tx, events, now=now)
    await worker.sign_once(log.database, log.signer, log.pace)
    assert await run(verifier, url, log.signer.log_key) == (0, "verified 65800 entries\n")


@pytest.mark.parametrize(
    ("tampering", "finding"),
    [
        ("UPDATE entry SET entry = convert_to('{}', 'UTF8') WHERE index = 299", "entry 299 is not the one in the tree"),
        ("DELETE FROM entry WHERE index = 5", "entry 5 is not the one in the tree"),
        ("UPDATE tile SET hashes = set_byte(hashes, 39, 255 - get_byte(hashes, 39)) WHERE level = 0 AND number = 1", "tiles at 256"),
        ("UPDATE tile SET hashes = set_byte(hashes, 3, 255 - get_byte(hashes, 3)) WHERE level = 1", "downloaded inconsistent tile"),
        ("UPDATE checkpoint SET note = replace(note, E'\\n600\\n', E'\\n599\\n')", "checkpoint: "),
    ],
)
async def test_a_tampered_log_is_refused(log, url, verifier, tampering, finding):
    await grow(log, 600)
    async with log.sessions.begin() as tx:
        await tx.execute(text(tampering))
    code, output = await run(verifier, url, log.signer.log_key)
    assert code == 1
    assert finding in output


async def test_another_key_and_a_forged_root_are_refused(log, url, verifier):
    await grow(log, 3)
    code, output = await run(verifier, url, log.signer.log_key[:-4] + "AAA=")
    assert (code, "refused: log key" in output) == (1, True)
    forged = log.signer.sign(Head(3, bytes(32)))
    async with log.sessions.begin() as tx:
        await tx.execute(text("UPDATE checkpoint SET note = :note"), {"note": forged})
    code, output = await run(verifier, url, log.signer.log_key)
    assert (code, "inconsistent tile" in output) == (1, True)
