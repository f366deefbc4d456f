"""Files from the wild over HTTP: no row is lost; and after all bad input nothing half-written is left."""

import csv
import io
import itertools
import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from dxmesh_client.models import Batch
from dxmesh_local.mesh import Mesh
from tests import patient
from tests.e2e.desk import CSV, Desk, problem, staged
from tests.e2e.node import until

DATA = Path(os.environ.get("DXMESH_DATA") or Path(__file__).parents[3] / "shared" / "data")
DIRTY = DATA / "dirty"


def _fields(body: bytes, encoding: str) -> list[str]:
    return next(csv.reader(io.StringIO(body.decode(encoding), newline="")))


_numbers = itertools.count(1)


def _table_of(desk: Desk, names: list[str]) -> UUID:
    items = [{"code": f"c{number}", "name": name, "data_type": "C"} for number, name in enumerate(names, 1)]
    return desk.node.resource(desk.provider, f"杂项台账{next(_numbers)}", items, max_quarantined_ratio=1.0)


def _push_wild(desk: Desk, resource_id: UUID, file: Path, **query: str) -> Batch:
    batch, is_new = desk.provider.client.push(resource_id, file, options=query)
    assert is_new
    return desk.provider.client.wait(batch.batch_id)


wild = pytest.mark.skipif(not DIRTY.is_dir(), reason=f"{DIRTY} is not there: name the folder of test data with DXMESH_DATA")


@wild
@pytest.mark.parametrize("name", sorted(path.stem for path in (DIRTY / "csv-spectrum" / "csvs").glob("*.csv")))
def test_the_csv_spectrum_is_read_as_its_authors_say(desk: Desk, name: str) -> None:
    file = DIRTY / "csv-spectrum" / "csvs" / f"{name}.csv"
    said = json.loads((DIRTY / "csv-spectrum" / "json" / f"{name}.json").read_bytes())
    expected: list[dict[str, str]] = said if isinstance(said, list) else [said]
    if name == "location_coordinates":
        expected[0]["Contact Phone Number"] = "2095257564"  # as the CSV has it; the JSON beside it names another number
    columns = list(expected[0])
    resource_id = _table_of(desk, columns)
    decided = _push_wild(desk, resource_id, file)
    assert (decided.accepted_count, decided.quarantined_count) == (len(expected), 0)
    grant = desk.node.grant(desk.other, resource_id)
    until(lambda: list(desk.other.client.rows(grant.grant_id)), 30, "the rows cannot be pulled")
    rows = list(desk.other.client.rows(grant.grant_id))
    read = [{column: row[f"c{number}"] or "" for number, column in enumerate(columns, 1)} for row in rows]
    assert read == [{column: str(value) for column, value in row.items()} for row in expected]


WILD = {  # file: encoding of its header, query, received, bad rows
    "bad.csv": ("utf-8", {}, 3, [1, 2]),
    "dummy_col_shuffled_ragged.csv": ("utf-8", {}, 1, []),
    "ks_1033_data.csv": ("utf-8", {}, 1575, []),
    "mac_newlines.csv": ("utf-8", {}, 2, []),
    "null_byte.csv": ("utf-8", {}, 1, [1]),
    "test_utf16_big.csv": ("utf-16", {}, 2, []),
    "test_utf16_little.csv": ("utf-16", {}, 2, []),
    "test_utf8_bom.csv": ("utf-8-sig", {}, 2, []),
}


@wild
@pytest.mark.parametrize("name", WILD)
def test_a_file_from_the_wild_loses_no_row(desk: Desk, name: str) -> None:
    encoding, query, received, bad = WILD[name]
    resource_id = _table_of(desk, _fields((DIRTY / name).read_bytes(), encoding))
    decided = _push_wild(desk, resource_id, DIRTY / name, **query)
    assert [line["row"] for line in desk.provider.client.quarantine(decided.batch_id)] == bad
    counts = (decided.received_count, decided.accepted_count, decided.quarantined_count, decided.rejected_count)
    rejected = len(bad) == received  # nothing is left to accept
    assert counts == ((received, 0, 0, received) if rejected else (received, received - len(bad), len(bad), 0))


@wild
def test_latin_1_is_read_when_declared_and_named_when_not(desk: Desk) -> None:
    resource_id = _table_of(desk, ["a", "b", "c"])
    file = DIRTY / "test_latin1.csv"
    undeclared = _push_wild(desk, resource_id, file)
    assert [(line["row"], line["rule"]) for line in desk.provider.client.quarantine(undeclared.batch_id)] == [(2, "readable")]
    batch, _ = desk.provider.client.push(resource_id, file, batch_id=uuid4(), options={"encoding": "latin-1"})
    assert desk.provider.client.wait(batch.batch_id).accepted_count == 2


@wild
def test_a_table_behind_its_title_lines_is_refused_by_the_names_of_its_columns(desk: Desk) -> None:
    body = (DIRTY / "Datagov_FY10_EDU_recp_by_State.csv").read_bytes()
    batch_id = uuid4()
    found = problem(desk.put(batch_id, body, {"Content-Type": CSV}))
    assert found["status"] == 422
    assert any("without a name" in error["detail"] for error in found["errors"])
    assert not desk.knows(batch_id)


def test_after_all_that_nothing_half_written_is_left(mesh: Mesh, desk: Desk) -> None:
    """Runs behind the others: every batch is decided, every object belongs to a batch, the ledger balances."""
    desk.good_under(uuid4())
    client = desk.provider.client
    folder = mesh.home.root / "objects" / "batches" / str(desk.resource_id)
    url = f"{desk.node.profile.exchange}/v1/resources/{desk.resource_id}/batches"
    batches: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = client.page(url, cursor=cursor)
        batches += page.items
        if (cursor := page.next_cursor) is None:
            break
    assert {batch["state"] for batch in batches} <= {"accepted"}
    assert {path.name for path in folder.iterdir()} == {batch["batch_id"] for batch in batches}
    assert staged(mesh) == []
    assert mesh.restarts == dict.fromkeys(mesh.restarts, 0)
    desk.node.balanced_ledger()
    for service in ("catalog-svc", "exchange-svc", "quality-svc", "open-data-svc", "audit-svc"):
        metrics = patient.get(f"{mesh.urls[service]}/metrics").text
        failed = [line for line in metrics.splitlines() if line.startswith("dxmesh_http_seconds_count") and 'status="5' in line]
        assert failed == [], f"{service} answered with a fault of its own"
        parked = [line for line in metrics.splitlines() if line.startswith("dxmesh_dead_letters_total")]
        assert parked == [], f"{service} parked records"
