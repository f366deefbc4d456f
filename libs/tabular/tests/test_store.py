"""The object store, in a folder and, where a server is at hand, in S3."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from dxmesh_schemas.problem import Conflict, NotFound
from dxmesh_tabular.store import CHUNK_BYTES, ObjectStore, sha256_of

S3_URL = os.environ.get("DXMESH_TEST_S3_URL")


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "folder":
        yield ObjectStore.open((tmp_path / "store").as_uri())
    elif S3_URL is None:
        pytest.skip("DXMESH_TEST_S3_URL names no bucket (with AWS_* variables for its server)")
    else:
        yield ObjectStore.open(f"{S3_URL}/{uuid4()}")


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    path = tmp_path / "sent"
    path.write_bytes(b"x" * (CHUNK_BYTES * 2 + 5))
    return path


def test_what_is_put_is_there_with_its_digest(store: ObjectStore, sent: Path) -> None:
    ref = store.put_file("batches/a/rows.parquet", sent, row_count=7)
    assert (ref.key, ref.byte_count, ref.row_count) == ("batches/a/rows.parquet", CHUNK_BYTES * 2 + 5, 7)
    assert ref.sha256 == sha256_of(sent)
    assert store.exists(ref.key)
    assert store.size(ref.key) == ref.byte_count
    assert store.get_bytes(ref.key) == sent.read_bytes()


def test_putting_the_same_again_is_fine_and_another_content_is_a_conflict(store: ObjectStore) -> None:
    first = store.put_bytes("a/b", b"one")
    assert store.put_bytes("a/b", b"one") == first
    with pytest.raises(Conflict, match="another content"):
        store.put_bytes("a/b", b"two")
    assert store.get_bytes("a/b") == b"one"


def test_a_part_is_streamed_in_pieces(store: ObjectStore, sent: Path) -> None:
    store.put_file("a", sent)
    assert [len(piece) for piece in store.stream("a")] == [CHUNK_BYTES, CHUNK_BYTES, 5]
    assert b"".join(store.stream("a", 10, 20)) == b"x" * 10
    assert b"".join(store.stream("a", CHUNK_BYTES * 2, 10**12)) == b"x" * 5
    assert list(store.stream("a", 5, 5)) == []


def test_what_is_not_there_is_not_found(store: ObjectStore) -> None:
    for get in (store.get_bytes, store.size, store.stream, lambda key: store.local_copy(key).__enter__()):
        with pytest.raises(NotFound, match="no object a/none"):
            get("a/none")
    assert not store.exists("a/none")
    store.delete("a/none")


def test_a_deleted_object_is_gone_and_its_key_free(store: ObjectStore) -> None:
    store.put_bytes("a", b"one")
    store.delete("a")
    assert not store.exists("a")
    store.put_bytes("a", b"two")


def test_a_local_copy_can_be_read(store: ObjectStore) -> None:
    store.put_bytes("a/b", b"one")
    with store.local_copy("a/b") as path:
        assert path.read_bytes() == b"one"


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a\\b", "a\0"])
def test_a_key_that_leaves_the_store_is_an_error(store: ObjectStore, key: str) -> None:
    for use in (store.get_bytes, store.exists, store.delete, store.uri, lambda key: store.put_bytes(key, b"")):
        with pytest.raises(ValueError, match="not an object key"):
            use(key)


def test_another_scheme_is_an_error() -> None:
    for url in ("http://x/y", "relative/path", "file://other-host/x"):
        with pytest.raises(ValueError, match="object store"):
            ObjectStore.open(url)


def test_a_file_on_the_same_device_is_linked_and_not_copied(tmp_path: Path, sent: Path) -> None:
    store = ObjectStore.open((tmp_path / "store").as_uri())
    store.put_file("a/b", sent)
    assert (tmp_path / "store/a/b").stat().st_ino == sent.stat().st_ino


def test_a_file_on_another_device_is_copied_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    places = (Path("/dev/shm"), Path("/var/tmp"))
    other = next((place for place in places if place.is_dir() and place.stat().st_dev != tmp_path.stat().st_dev), None)
    if other is None:
        pytest.skip("there is no second device to copy from")
    store = ObjectStore.open((tmp_path / "store").as_uri())
    sent = other / f"dxmesh-{uuid4()}"
    try:
        sent.write_bytes(b"one")
        store.put_file("a/b", sent)
        store.put_file("a/b", sent)
    finally:
        sent.unlink()
    assert [path.name for path in (tmp_path / "store/a").iterdir()] == ["b"]
    assert store.get_bytes("a/b") == b"one"


def test_of_many_putting_different_contents_at_once_one_wins(tmp_path: Path) -> None:
    store = ObjectStore.open((tmp_path / "store").as_uri())
    outcomes: list[str] = []

    def put(number: int) -> None:
        try:
            outcomes.append(store.put_bytes("a/b", str(number).encode()).sha256)
        except Conflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("conflict") == 7
