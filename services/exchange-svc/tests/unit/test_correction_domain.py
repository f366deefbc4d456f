"""Which records of a resource may be named by their key, and which by batch and row only."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from dxmesh_schemas.catalog import DataItem, DataType, OpenType, OrganizationRef, ResourceSnapshot, SharingType, UpdateCycle
from dxmesh_schemas.exchange import BatchKind
from exchange_svc.correction.domain import Arrived, Record, check_doubt
from exchange_svc.correction.errors import CorrectionInvalid

RESOURCE_ID, BATCH_ID = UUID(int=1), UUID(int=2)
AT = datetime(2026, 11, 2, tzinfo=UTC)
BATCHES = {BATCH_ID: Arrived(kind=BatchKind.UPSERT, resource_id=RESOURCE_ID, row_count=3, accepted_at=AT)}
BY_KEY = Record(key={"code": "330602"})
BY_ROW = Record(batch_id=BATCH_ID, row=3)


def resource(*, key: tuple[str, ...] = ("code",), level: int = 1) -> ResourceSnapshot:
    items = tuple(DataItem(code=code, name=code, data_type=DataType.TEXT, data_level=level) for code in ("code", "name"))
    return ResourceSnapshot(
        resource_id=RESOURCE_ID,
        version=1,
        resource_code="1",
        name="街道",
        summary="",
        class_path="1",
        provider=OrganizationRef(organization_id=UUID(int=3), uscc="11330600MB1573660P", name="民政局", division_code="330600"),
        system_id=UUID(int=4),
        items=items,
        key=key,
        sharing_type=SharingType.UNCONDITIONAL,
        open_type=OpenType.CLOSED,
        update_cycle=UpdateCycle.DAILY,
        schema_url="https://mesh.example/schema.json",
        published_at=AT,
    )


def faults(record: Record, of: ResourceSnapshot, *, readable: tuple[str, ...] = ("code", "name"), masked: tuple[str, ...] = ()) -> Any:
    try:
        check_doubt([record], (), resource=of, readable=readable, masked=masked, batches=BATCHES)
    except CorrectionInvalid as invalid:
        return [error["pointer"] for error in invalid.members["errors"]]
    return []


def test_a_key_that_is_granted_as_it_is_names_a_record() -> None:
    assert faults(BY_KEY, resource()) == []
    assert faults(BY_KEY, resource(level=2)) == []


@pytest.mark.parametrize(
    ("of", "given"),
    [
        (resource(level=3), {}),
        (resource(key=()), {}),
        (resource(), {"masked": ("code",)}),
        (resource(), {"readable": ("name",)}),
    ],
)
def test_a_key_of_a_high_level_masked_or_not_granted_is_not_written_and_the_row_is_named(of: ResourceSnapshot, given: Any) -> None:
    assert faults(BY_KEY, of, **given) == ["/records/0/key"]
    assert faults(BY_ROW, of, **given) == []


def test_a_row_is_one_of_the_batch() -> None:
    assert faults(Record(batch_id=BATCH_ID, row=4), resource()) == ["/records/0/row"]
    assert faults(Record(batch_id=BATCH_ID, row=0), resource()) == ["/records/0/row"]
