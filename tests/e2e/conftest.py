"""One mesh for all end-to-end tests that leave it whole; tests that hurt a mesh start their own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dxmesh_local.mesh import Mesh
from tests.e2e.node import Node


@pytest.fixture(scope="session")
def mesh() -> Iterator[Mesh]:
    with tempfile.TemporaryDirectory(prefix="dxmesh-e2e-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with Mesh(Path(folder) / "home", say=print) as running:
            yield running


@pytest.fixture(scope="session")
def node(mesh: Mesh) -> Iterator[Node]:
    found = Node(mesh)
    yield found
    found.close()
