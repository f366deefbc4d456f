"""How a problem names what is wrong where."""

from dxmesh_schemas.problem import Conflict, Invalid


def test_the_problem_of_a_field_is_told_as_it_is() -> None:
    found = Conflict.at("/name", "the name is taken", entry_id="1")
    assert found.as_dict()["detail"] == "the name is taken"
    assert found.members == {"errors": [{"pointer": "/name", "detail": "the name is taken"}], "entry_id": "1"}


def test_every_fault_is_listed_and_the_first_ones_told() -> None:
    faults = [(f"/items/{number}", f"is wrong {number}") for number in range(7)]
    found = Invalid.of(faults)
    assert found.detail == "; ".join(f"/items/{number}: is wrong {number}" for number in range(5))
    assert found.members["errors"] == [{"pointer": pointer, "detail": detail} for pointer, detail in faults]
