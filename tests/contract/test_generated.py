"""What is generated from the code agrees with the code."""

from pathlib import Path

import pytest
from openapi_spec_validator import validate

from dxmesh_schemas.problem import Problem
from tests.contract import generate
from tests.contract.services import PACKAGES, openapi


@pytest.mark.parametrize("path", sorted(generate.files()), ids=lambda path: str(path.name))
def test_a_generated_page_is_up_to_date(path: Path) -> None:
    assert path.exists(), f"{path.name} is missing: run `make docs`"
    assert path.read_text(encoding="utf-8") == generate.files()[path], f"{path.name} is behind the code: run `make docs`"


@pytest.mark.parametrize("package", PACKAGES)
def test_the_openapi_document_is_valid_and_every_route_says_how_it_fails(package: str) -> None:
    document = openapi(package)
    validate(document)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description") or operation.get("summary"), f"{method} {path} says nothing"


def test_a_slug_means_one_thing() -> None:
    titles: dict[str, set[tuple[int, str]]] = {}
    for kind in generate.problem_classes():
        assert issubclass(kind, Problem)
        titles.setdefault(kind.slug, set()).add((kind.status, kind.title))
    assert {slug: found for slug, found in titles.items() if len(found) > 1} == {}
