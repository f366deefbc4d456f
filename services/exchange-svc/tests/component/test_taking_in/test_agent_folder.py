"""The agent at a folder: complete files are sent once, put away with a report, and nothing is lost while the node is away."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from dxmesh_client.agent.check import check
from dxmesh_client.agent.config import load
from dxmesh_client.agent.run import AlreadyRunning, alone
from dxmesh_client.client import Client

CSV = b"code,name,people,since\n1,a,3,2001-05-01\n2,b,4,2001-05-01\n"


def job(resource: Any, **folder: object) -> str:
    told = {"path": "outbox", "pattern": "*", "stable_seconds": 0, **folder}
    lines = [f'name = "streets"\nresource_id = "{resource.resource_id}"\nkind = "upsert"', "[job.folder]"]
    return "\n".join([*lines, *(f"{name} = {json.dumps(value)}" for name, value in told.items())])


def put(folder: Path, name: str, content: bytes, minute: int = 0) -> Path:
    """Put a file that was written at a known time."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_bytes(content)
    os.utime(file, (1_760_000_000 + 60 * minute,) * 2)
    return file


async def test_files_are_sent_in_their_order_and_put_away_with_a_report(department: Any) -> None:
    resource = await department.exchange.publish()
    outbox = department.folder / "outbox"
    put(outbox, "b.csv", CSV, 1)
    put(outbox, "a.csv", CSV.replace(b"1,a", b"3,c"), 2)
    put(outbox, "c.csv.part", CSV, 3)
    config = department.write(job(resource))
    assert await department.once(config)
    assert await department.batches() == [("upsert", ["1", "2"]), ("upsert", ["3", "2"])]
    assert sorted(path.name for path in outbox.iterdir()) == ["c.csv.part", "done", "failed"]
    assert sorted(path.name for path in (outbox / "done").iterdir()) == ["a.csv", "a.csv.report.json", "b.csv", "b.csv.report.json"]
    report = json.loads((outbox / "done" / "a.csv.report.json").read_text())
    assert (report["file"], report["received_count"], report["state"]) == ("a.csv", 2, "received")
    assert report["acknowledgement"].count(".") == 2
    assert list((department.folder / "state" / "spool" / "streets").iterdir()) == []


async def test_the_same_content_of_another_day_is_another_batch_and_the_same_file_met_again_is_not(department: Any) -> None:
    resource = await department.exchange.publish()
    outbox, config = department.folder / "outbox", department.write(job(resource))
    put(outbox, "a.csv", CSV, 1)
    assert await department.once(config)
    put(outbox, "a.csv", CSV, 1)  # as after a kill between the answer and the move
    assert await department.once(config)
    assert len(await department.batches()) == 1
    put(outbox, "a.csv", CSV, 2)
    assert await department.once(config)
    assert len(await department.batches()) == 2
    assert len(list((outbox / "done").glob("*.csv"))) == 3


async def test_a_file_without_its_marker_or_still_growing_waits(department: Any) -> None:
    resource = await department.exchange.publish()
    outbox = department.folder / "outbox"
    put(outbox, "a.csv", CSV)
    config = department.write(job(resource, marker=".ok"))
    assert await department.once(config)
    assert await department.batches() == []
    put(outbox, "a.csv.ok", b"")
    assert await department.once(config)
    assert len(await department.batches()) == 1
    assert not (outbox / "a.csv.ok").exists()
    put(outbox, "b.csv", CSV)
    assert await department.once(department.write(job(resource, stable_seconds=3600)))  # it came into the folder just now
    assert (outbox / "b.csv").exists()


async def test_a_file_that_cannot_be_read_fails_alone(department: Any) -> None:
    resource = await department.exchange.publish()
    outbox = department.folder / "outbox"
    put(outbox, "a.xlsx", b"no workbook", 1)
    put(outbox, "b.docx", b"x", 2)
    put(outbox, "c.csv", CSV, 3)
    assert await department.once(department.write(job(resource)))
    assert len(await department.batches()) == 1
    failed = outbox / "failed"
    assert sorted(path.name for path in failed.iterdir()) == ["a.xlsx", "a.xlsx.report.json", "b.docx", "b.docx.report.json"]
    assert json.loads((failed / "a.xlsx.report.json").read_text())["problem"]["status"] in (400, 422)
    assert "format" in json.loads((failed / "b.docx.report.json").read_text())["error"]


async def test_nothing_moves_while_the_node_is_away_and_a_wrong_resource_is_not_the_files_fault(department: Any) -> None:
    resource = await department.exchange.publish()
    outbox, config = department.folder / "outbox", department.write(job(resource))
    file = put(outbox, "a.csv", CSV)
    there = department.link.target
    department.link.retarget("http://127.0.0.1:1")
    assert not await department.once(config)
    assert file.exists()
    department.link.retarget(there)
    wrong = department.write(job(resource).replace(str(resource.resource_id), "01a205ed-764e-7227-959d-293f858c76f1"))
    assert not await department.once(wrong)
    assert file.exists()
    assert await department.once(department.write(job(resource)))
    assert len(await department.batches()) == 1


async def test_a_large_file_goes_in_parts_and_goes_on_after_a_cut(department: Any) -> None:
    resource = await department.exchange.publish()
    rows = b"".join(b"%d,%d,%d,2001-05-01\n" % (n, n * 7919 % 100_003, n * 104_729 % 1_000_003) for n in range(40_000))
    put(department.folder / "outbox", "a.csv", b"code,name,people,since\n" + rows)
    config = department.write(job(resource), resumable_bytes=1000)
    department.link.cuts = [200_000, 100_000]
    assert await department.once(config)
    ((_, codes),) = await department.batches()
    assert codes == [str(n) for n in range(40_000)]
    assert department.link.connections >= 3
    assert list((department.folder / "state" / "uploads").iterdir()) == []


async def test_an_agent_killed_while_it_sends_neither_loses_nor_doubles_and_one_that_is_stopped_ends_in_order(department: Any) -> None:
    resource = await department.exchange.publish()
    config = department.write(job(resource))
    put(department.folder / "outbox", "a.csv", CSV)
    command = (str(Path(sys.executable).with_name("dxmesh")), "agent", "run", str(config))
    environment = os.environ | {"DXMESH_PROFILE": str(department.folder / "profile.json")}

    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)

    department.link.holds = [400]  # in the middle of the request
    first = await start()
    async with asyncio.timeout(30):
        while not department.link.holding:
            await asyncio.sleep(0.01)
    first.kill()
    await first.wait()
    assert await department.batches() == []
    second = await start()
    assert second.stdout is not None
    async with asyncio.timeout(30):
        while not (line := json.loads(await second.stdout.readline()))["event"].startswith("batch."):
            pass
    assert (line["event"], line["job"], line["rows"], line["file"]) == ("batch.sent", "streets", 2, "a.csv")
    second.send_signal(signal.SIGTERM)
    rest, _ = await second.communicate()
    assert second.returncode == 0
    assert json.loads(rest.splitlines()[-1])["event"] == "agent.stopped"
    assert len(await department.batches()) == 1
    assert (department.folder / "outbox" / "done" / "a.csv").exists()


@pytest.mark.parametrize("how", ["two agents", "check"])
async def test_what_is_wrong_is_said_before_it_does_harm(department: Any, how: str) -> None:
    resource = await department.exchange.publish()
    config = department.write(job(resource))
    if how == "two agents":
        with alone(load(config).agent), pytest.raises(AlreadyRunning, match="stop it first"):
            await department.once(config)
        return

    def look() -> list[tuple[str, str]]:
        with Client(department.profile) as client:
            return [(one.what, one.wrong) for one in check(load(config), client)]

    found = await asyncio.to_thread(look)
    assert found[0] == (f"resource {resource.resource_id}", "")
    assert "is no folder" in found[1][1]
    put(department.folder / "outbox", "a.csv", CSV)
    assert (await asyncio.to_thread(look))[1] == (f"folder {department.folder / 'outbox'}: 1 files match", "")


async def test_a_file_pushed_by_hand_in_parts_goes_on_when_the_command_is_given_again(department: Any) -> None:
    resource = await department.exchange.publish()
    file = put(department.folder, "a.csv", b"code,name,people,since\n" + b"".join(b"%d,street,1,2001-05-01\n" % n for n in range(50_000)))
    command = (
        str(Path(sys.executable).with_name("dxmesh")),
        "push",
        str(resource.resource_id),
        str(file),
        "--in-parts",
        "--no-wait",
        "--json",
    )
    environment = os.environ | {"DXMESH_PROFILE": str(department.folder / "profile.json")}
    department.link.holds = [500_000]  # the head of the upload and half of the file go through
    first = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(30):
        while not any(part.stat().st_size >= 250_000 for part in (department.exchange.staging / "uploads").glob("*.part")):
            await asyncio.sleep(0.01)
    first.kill()
    await first.communicate()
    assert (department.folder / "a.csv.upload").exists()
    second = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    out, _ = await second.communicate()
    assert (second.returncode, json.loads(out)["received_count"]) == (0, 50_000)
    assert department.link.offsets[0] == 0
    assert all(offset >= 250_000 for offset in department.link.offsets[1:])  # what had arrived was not sent again
    assert not (department.folder / "a.csv.upload").exists()


async def test_the_node_lists_the_job_with_its_last_batch_and_then_why_it_fails(department: Any) -> None:
    resource = await department.exchange.publish()
    config = department.write(job(resource))
    put(department.folder / "outbox", "a.csv", CSV)

    async def listed() -> Any:
        answer = await department.exchange.client.get("/v1/channels", headers=department.exchange.authority)
        (found,) = answer.json()["items"]
        return found

    assert await department.once(config)
    found = await listed()
    report = json.loads((department.folder / "outbox" / "done" / "a.csv.report.json").read_text())
    assert (found["agent"], found["name"], found["kind"], found["state"]) == ("front-1", "streets", "folder", "working")
    assert (found["last_batch_id"], found["resource_id"]) == (report["batch_id"], str(resource.resource_id))
    await department.exchange.withdraw(resource)
    put(department.folder / "outbox", "b.csv", CSV, 5)
    assert not await department.once(config)
    found = await listed()
    assert (found["state"], "withdrawn" in found["detail"], found["last_batch_id"]) == ("failing", True, report["batch_id"])
