"""Uploads over a link of 50 Mbit/s that is cut, and to a service that is killed: what arrives is what was sent."""

import asyncio
import base64
import hashlib
from pathlib import Path
from typing import Any

import httpx

from dxmesh_runtime.db import uuid7

PART = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
ROWS = 20_000
BODY = b"code,name,people,since\n" + b"".join(b"%09d,street number %d,%d,2001-05-01\n" % (n, n, n) for n in range(ROWS))


async def create(http: httpx.AsyncClient, resource: Any, who: dict[str, str]) -> tuple[str, str]:
    batch_id = str(uuid7())
    known = {"resource_id": str(resource.resource_id), "batch_id": batch_id, "media_type": "text/csv"}
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in known.items())
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(BODY)), "Upload-Metadata": metadata}
    answer = await http.post("/v1/uploads", headers=headers | who)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"], batch_id


async def offset(http: httpx.AsyncClient, url: str, who: dict[str, str]) -> int:
    """Ask where to go on, as a client does that was cut off: once the service has noticed, or from where it stands."""
    answer = await http.head(url, headers={"Tus-Resumable": "1.0.0"} | who)
    assert answer.status_code == 200, answer.status_code
    return int(answer.headers["upload-offset"])


async def send(http: httpx.AsyncClient, url: str, begin: int, who: dict[str, str]) -> int | None:
    """Send all that is left; return the status, None when the link was cut."""
    try:
        answer = await http.patch(url, content=BODY[begin:], headers=PART | {"Upload-Offset": str(begin)} | who)
    except httpx.TransportError:
        return None
    return answer.status_code


async def test_an_upload_that_is_cut_again_and_again_goes_on_and_arrives_byte_for_byte(exchange: Any, link: Any) -> None:
    resource, who = await exchange.publish(), exchange.steward(exchange.provider)
    async with httpx.AsyncClient(base_url=link.url, limits=httpx.Limits(max_keepalive_connections=0), timeout=60) as http:
        url, batch_id = await create(http, resource, who)
        reached = [0]
        statuses: list[int | None] = []
        for cut in (300_000, 250_000, 1, 200_000, None):
            if cut is not None:
                link.cuts = [cut]
            statuses.append(await send(http, url, reached[-1], who))
            while statuses[-1] is None and await offset(http, url, who) < reached[-1] + (cut or 0) - 1_000:
                await asyncio.sleep(0.01)  # the service is still writing what was on the way when the link was cut
            if statuses[-1] is None:
                reached.append(await offset(http, url, who))
    assert statuses[:2] == [None, None]
    assert statuses[-1] == 204
    assert 300_000 > reached[1] > 290_000  # what came before the cut is kept, all of it
    batch = (await exchange.client.get(f"/v1/batches/{batch_id}", headers=who)).json()
    assert (batch["body_sha256"], batch["received_count"]) == (hashlib.sha256(BODY).hexdigest(), ROWS)


async def test_an_upload_outlives_a_service_that_is_killed_in_its_middle(exchange: Any, service: Any, nowhere: Any, tmp_path: Path) -> None:
    resource, who = await exchange.publish(), exchange.steward(exchange.provider)
    part = tmp_path / "apart" / "uploads"
    nowhere.retarget(service.url)
    async with httpx.AsyncClient(base_url=nowhere.url, limits=httpx.Limits(max_keepalive_connections=0), timeout=60) as http:
        url, batch_id = await create(http, resource, who)
        nowhere.holds = [600_000]
        sending = asyncio.create_task(send(http, url, 0, who))
        async with asyncio.timeout(20):
            while not [file for file in part.iterdir() if file.stat().st_size]:
                await asyncio.sleep(0.01)
        await service.kill()
        assert await sending is None
        on_disk = next(part.iterdir()).stat().st_size
        assert 0 < on_disk < len(BODY)
        await service.start()
        assert await offset(http, url, who) == on_disk
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as http:
        assert await send(http, url, on_disk, who) == 204
    batch = (await exchange.client.get(f"/v1/batches/{batch_id}", headers=who)).json()
    assert (batch["body_sha256"], batch["received_count"]) == (hashlib.sha256(BODY).hexdigest(), ROWS)
    assert list(part.iterdir()) == []
