"""The agent at a folder where things go wrong: files that change, names that are no text, links, clocks, and nodes that refuse."""

import asyncio
import json
import os
import threading
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import cramjam
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from dxmesh_client.agent import run as running
from dxmesh_client.agent.config import ConfigInvalid, load
from dxmesh_client.agent.folder import FolderJob
from dxmesh_client.agent.sending import Sender
from dxmesh_client.client import Client
from dxmesh_client.config import Profile
from dxmesh_client.errors import NotConfigured, ProblemAnswer, Unreachable
from dxmesh_client.upload import keep, upload
from dxmesh_runtime.testing import listening

CSV = b"code,name,people,since\n1,a,3,2001-05-01\n2,b,4,2001-05-01\n"
RESOURCE_ID = "01a205ed-764e-7227-959d-293f858c76f1"


def job(resource: Any, **folder: object) -> str:
    told = {"path": "outbox", "pattern": "*", "stable_seconds": 0, **folder}
    lines = [f'name = "streets"\nresource_id = "{getattr(resource, "resource_id", resource)}"\nkind = "upsert"', "[job.folder]"]
    return "\n".join([*lines, *(f"{name} = {json.dumps(value)}" for name, value in told.items())])


def put(folder: Path, name: str, content: bytes = CSV, minute: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_bytes(content)
    os.utime(file, (1_760_000_000 + 60 * minute,) * 2)
    return file


def folder_job(node: Any, **folder: object) -> FolderJob:
    config = load(node.write(job(RESOURCE_ID, **folder)))
    [one] = config.job
    assert one.folder is not None
    return FolderJob(
        one, one.folder, Sender(Client(node.profile, patience_seconds=0), config.agent, one.name, one.resource_id), config.agent.state
    )


def reports(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.report.json"))


async def test_a_file_that_is_written_while_it_is_sent_stays_and_is_sent_as_it_is_then(node: Any) -> None:
    file = put(node.outbox, "a.csv")

    def write() -> None:
        node.on_batch = lambda: None
        put(node.outbox, "a.csv", CSV + b"3,c,5,2001-05-01\n", 1)

    node.on_batch = write
    assert await node.once(job(RESOURCE_ID))
    assert [bytes(cramjam.zstd.decompress(body)) for body in node.bodies] == [CSV, CSV + b"3,c,5,2001-05-01\n"]
    assert not file.exists()
    assert reports(node.outbox / "done") == ["a.csv.report.json"]


async def test_what_is_sent_is_what_was_read_also_where_the_file_changes_before_it_leaves(node: Any) -> None:
    put(node.outbox, "a.parquet", b"PAR1")
    node.refusal = (503, {"title": "No", "status": 503})
    assert not await node.once(job(RESOURCE_ID))
    node.refusal = None
    (node.outbox / "a.parquet").write_bytes(b"PAR1 and more")
    assert await node.once(job(RESOURCE_ID))
    assert (node.bodies[0], node.bodies[-1], set(node.bodies[:-1])) == (b"PAR1", b"PAR1 and more", {b"PAR1"})
    assert list((node.folder / "state" / "spool" / "streets").iterdir()) == []


async def test_a_name_that_is_no_text_or_would_not_be_seen_is_a_name(node: Any, capsys: pytest.CaptureFixture[str]) -> None:
    names = [os.fsdecode(b"\xc9\xdc\xd0\xcb.csv"), "a\nb\x9b2J.csv", "绍" * 80 + ".csv"]
    for number, name in enumerate(names):
        put(node.outbox, name, CSV, number)
    assert await node.once(job(RESOURCE_ID))
    assert (len(node.bodies), len(reports(node.outbox / "done"))) == (3, 3)
    sent = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if line["event"] == "batch.sent"]
    assert [line["file"] for line in sent] == ["\\xc9\\xdc\\xd0\\xcb.csv", "a\\nb\\x9b2J.csv", names[2]]


async def test_no_link_is_followed(node: Any) -> None:
    secret = put(node.folder, "secret.csv")
    node.outbox.mkdir()
    (node.outbox / "a.csv").symlink_to(secret)
    (node.outbox / "b.csv").mkdir()
    os.mkfifo(node.outbox / "c.csv")
    assert await node.once(job(RESOURCE_ID))
    assert node.bodies == []
    (node.outbox / "done").rmdir()
    (node.outbox / "done").symlink_to(node.folder)
    file = put(node.outbox, "d.csv")
    assert not await node.once(job(RESOURCE_ID)), "files would be moved to where the link leads"
    assert file.exists()
    place = node.folder / "place"
    (node.folder / "place.new").symlink_to(secret)
    keep(place, b"x")
    assert (secret.read_bytes(), place.read_bytes()) == (CSV, b"x")


REFUSALS = [
    (429, "too-many"), (503, "storage-full"), (401, "unauthenticated"), (413, ""), (400, ""), (400, "body-interrupted"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "slug"), REFUSALS)
async def test_a_refusal_that_is_not_the_nodes_or_not_for_ever_leaves_the_file_where_it_is(node: Any, status: int, slug: str) -> None:
    file = put(node.outbox, "a.csv")
    node.refusal = (status, problem(status, slug) if slug else {"message": "something on the way"})
    assert not await node.once(job(RESOURCE_ID))
    assert file.exists()
    assert reports(node.outbox / "failed") == []
    assert node.reports[-1]["state"] == "failing"
    node.refusal = (413, problem(413, "body-too-large"))
    assert await node.once(job(RESOURCE_ID))
    assert reports(node.outbox / "failed") == ["a.csv.report.json"]


def problem(status: int, slug: str) -> dict[str, Any]:
    return {"type": f"https://dxmesh.example/problems/{slug}", "title": "No", "status": status}


def test_a_node_is_left_alone_for_as_long_as_it_asks() -> None:
    asked = [running.asked_seconds(ProblemAnswer({"status": 429, "retry_after_seconds": told})) for told in (77, 1e9, "x")]
    assert asked == [77, 3600, 0]


async def test_a_token_that_was_ended_before_its_time_is_not_used_again(node: Any) -> None:
    file = put(node.outbox, "a.csv")
    node.refusal = (401, {"title": "No", "status": 401})
    with Client(node.profile, patience_seconds=0) as client:
        for _ in range(2):
            with pytest.raises(ProblemAnswer):
                await asyncio.to_thread(client.push, UUID(RESOURCE_ID), file)
    assert node.tokens == ["Bearer token-0", "Bearer token-1"]


@pytest.mark.parametrize(("status", "is_kept"), [(429, True), (401, True), (413, False), (204, True)])
async def test_what_has_arrived_of_an_upload_is_kept_where_it_is_refused_for_now(tmp_path: Path, status: int, is_kept: bool) -> None:
    service, file, place = FastAPI(), put(tmp_path, "a.csv"), tmp_path / "place"

    @service.post("/oauth/token")
    async def issue() -> dict[str, Any]:
        return {"access_token": "x", "expires_in": 600}

    @service.post("/v1/uploads")
    async def create() -> Response:
        return Response(status_code=201, headers={"Location": "/v1/uploads/1"})

    @service.head("/v1/uploads/1")
    async def look() -> Response:
        return Response(headers={"Upload-Offset": "0"})

    @service.patch("/v1/uploads/1")
    async def take() -> Response:
        return Response(status_code=204) if status == 204 else JSONResponse({"title": "No", "status": status}, status_code=status)

    async with listening(service) as url:
        names = ("catalog", "exchange", "quality", "open_data", "audit")
        with Client(Profile(**dict.fromkeys(names, url)), patience_seconds=0) as client, pytest.raises((ProblemAnswer, Unreachable)):
            await asyncio.to_thread(upload, client, UUID(RESOURCE_ID), file, batch_id=UUID(RESOURCE_ID), place=place, patience_seconds=0)
    assert place.exists() is is_kept


async def test_a_clock_that_is_set_makes_no_file_complete(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one = folder_job(node, stable_seconds=10)
    real, watched = time.time(), {"time": 0.0, "monotonic": 1000.0}
    monkeypatch.setattr("dxmesh_client.agent.folder.time", SimpleNamespace(**{name: partial(watched.get, name) for name in watched}))
    watched["time"] = real
    put(node.outbox, "a.csv")
    assert not one.step()
    watched["time"] += 3600  # set, not passed
    watched["monotonic"] += 1
    assert not one.step()
    put(node.outbox, "a.csv", CSV + b"3,c,5,2001-05-01\n", 1)
    watched["monotonic"] += 10
    assert not one.step(), "it was written meanwhile"
    watched["time"] -= 10_000_000  # the file is of a time to come
    watched["monotonic"] += 10
    assert await asyncio.to_thread(one.step)
    assert len(node.bodies) == 1


async def test_a_marker_left_by_a_kill_completes_no_other_file(node: Any) -> None:
    put(node.outbox, "a.csv.ok")
    one = folder_job(node, marker=".ok")
    put(node.outbox, "a.csv")
    assert not one.step()
    put(node.outbox, "a.csv.ok")
    assert await asyncio.to_thread(one.step)
    assert not (node.outbox / "a.csv.ok").exists()


async def test_a_file_that_somebody_takes_away_is_passed_over(node: Any) -> None:
    put(node.outbox, "a.csv", CSV, 1)
    put(node.outbox, "b.csv", CSV, 2)
    node.on_batch = lambda: (node.outbox / "a.csv").unlink(missing_ok=True)
    assert await node.once(job(RESOURCE_ID))
    assert reports(node.outbox / "done") == ["b.csv.report.json"]
    assert list((node.folder / "state" / "spool" / "streets").iterdir()) == []


async def test_a_report_takes_no_files_place(node: Any) -> None:
    put(node.outbox, "a.csv.report.json", b'{"code": "1"}', 1)
    put(node.outbox, "a.csv", CSV, 2)
    assert await node.once(job(RESOURCE_ID))
    assert (node.outbox / "done" / "a.csv.report.json").read_bytes() == b'{"code": "1"}'
    assert len(reports(node.outbox / "done")) == 3


async def test_a_full_disk_leaves_no_half_of_a_file_and_the_job_goes_on(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put(node.outbox, "a.csv")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        patch.setattr("sys.stdout", SimpleNamespace(write=full, flush=full))
        assert not await node.once(job(RESOURCE_ID))
    assert (file.exists(), node.bodies, list((node.folder / "state" / "spool" / "streets").iterdir())) == (True, [], [])
    assert await node.once(job(RESOURCE_ID))
    assert not file.exists()


async def test_a_job_that_meets_what_nobody_foresaw_says_so(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(node.outbox, "a.parquet", b"PAR1" * 1000)  # in parts, to a node that does not say where
    assert not await node.once(job(RESOURCE_ID))
    assert (node.reports[-1]["state"], node.reports[-1]["detail"]) == ("failing", "'Location'")
    monkeypatch.setenv("DXMESH_PROFILE", str(node.folder / "nowhere.json"))
    with pytest.raises(NotConfigured):
        running.run(load(node.write(job(RESOURCE_ID))), once=True, stop=threading.Event())


@pytest.mark.parametrize(("pattern", "again", "told"), [("done/*", "", "pattern"), ("*", "*", "two jobs")])
def test_a_folder_that_would_be_read_twice_is_a_fault(tmp_path: Path, pattern: str, again: str, told: str) -> None:
    file = tmp_path / "agent.toml"
    second = "\n[[job]]\n" + job(RESOURCE_ID, pattern=again).replace("streets", "others") if again else ""
    file.write_text('[agent]\nname = "front-1"\n[[job]]\n' + job(RESOURCE_ID, pattern=pattern) + second)
    with pytest.raises(ConfigInvalid, match=told):
        load(file)
