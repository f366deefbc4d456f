import pytest

from catalog_svc.code_set import domain
from dxmesh_schemas.catalog_events import CodeSetPublished


def test_good_codes_have_no_fault() -> None:
    assert domain.faults(["01", "男", "a b", "A", "（甲）"]) == []


@pytest.mark.parametrize(
    ("codes", "pointer"),
    [
        (["1", ""], "/codes/1"),
        (["1", "2", "1"], "/codes/2"),
        (["（甲）", "(甲)"], "/codes/1"),
        (["（甲）", "（甲）"], "/codes/1"),
        (["é", "e\u0301"], "/codes/1"),
        (["１"], "/codes/0"),
        (["0\u200b1"], "/codes/0"),
        (["0\x001"], "/codes/0"),
        ([" 1"], "/codes/0"),
        (["x" * 201], "/codes/0"),
    ],
)
def test_a_wrong_code_is_pointed_at(codes: list[str], pointer: str) -> None:
    assert [where for where, _ in domain.faults(codes)] == [pointer]


def test_not_more_than_twenty_faults_are_listed() -> None:
    assert len(domain.faults([""] * 500)) == 20


def test_codes_beyond_what_an_event_carries_are_too_many() -> None:
    event = CodeSetPublished(name="x", version=1, title="x", codes=tuple(f"{n:0100d}" for n in range(10_000)))
    fault = domain.event_fault(event)
    assert fault is not None
    assert fault[0] == "/codes"
    assert domain.event_fault(event.model_copy(update={"codes": event.codes[:100]})) is None
