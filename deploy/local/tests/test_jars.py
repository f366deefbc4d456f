import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dxmesh_local import jars
from dxmesh_local.errors import DownloadFailed, HomeUnusable, JarsRefused

PATH = "org/example/thing/1.0/thing-1.0.jar"
CONTENT = b"the bytes of a jar"
GOOD = {PATH: hashlib.sha256(CONTENT).hexdigest()}


@pytest.fixture
def central(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    root = tmp_path / "central"
    (root / PATH).parent.mkdir(parents=True)
    (root / PATH).write_bytes(CONTENT)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", root
    server.shutdown()
    server.server_close()


def test_what_is_missing_is_fetched_and_what_is_there_is_not(central: tuple[str, Path], tmp_path: Path) -> None:
    url, root = central
    folder = tmp_path / "cache"
    said: list[str] = []
    assert [jar.read_bytes() for jar in jars.kafka(said.append, folder=folder, expected=GOOD, central=url)] == [CONTENT]
    assert said
    (root / PATH).unlink()
    said.clear()
    assert jars.kafka(said.append, folder=folder, expected=GOOD, central=url)
    assert said == []


def test_a_download_that_was_cut_off_is_fetched_again(central: tuple[str, Path], tmp_path: Path) -> None:
    url, _ = central
    folder = tmp_path / "cache"
    (folder / PATH).parent.mkdir(parents=True)
    (folder / PATH).write_bytes(CONTENT[:5])
    assert jars.kafka(folder=folder, expected=GOOD, central=url)[0].read_bytes() == CONTENT


def test_a_jar_with_another_sha256_is_refused_and_not_kept(central: tuple[str, Path], tmp_path: Path) -> None:
    url, root = central
    (root / PATH).write_bytes(CONTENT + b"!")
    with pytest.raises(JarsRefused, match=r"thing-1\.0\.jar.*KAFKA__BOOTSTRAP_SERVERS"):
        jars.kafka(folder=tmp_path / "cache", expected=GOOD, central=url)
    assert not (tmp_path / "cache" / PATH).exists()


def test_a_jar_the_repository_does_not_have_is_a_clear_line(central: tuple[str, Path], tmp_path: Path) -> None:
    url, root = central
    (root / PATH).unlink()
    with pytest.raises(DownloadFailed, match="could not be fetched from Maven Central"):
        jars.kafka(folder=tmp_path / "cache", expected=GOOD, central=url)


def test_without_network_the_line_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"no connection.*connect to the network.*KAFKA__BOOTSTRAP_SERVERS") as raised:
        jars.kafka(folder=tmp_path / "cache", expected=GOOD, central="http://127.0.0.1:9")
    assert "\n" not in str(raised.value)


def test_a_cache_that_cannot_be_written_is_a_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HomeUnusable, match="cannot be written"):
        jars.kafka(folder=tmp_path / "file" / "cache", expected=GOOD)


def test_the_list_names_kafka_4_4_0_and_a_sha256_for_each_jar() -> None:
    listed = jars.known()
    assert "org/apache/kafka/kafka_2.13/4.4.0/kafka_2.13-4.4.0.jar" in listed
    assert len(listed) == 45
    assert all(len(bytes.fromhex(digest)) == 32 for digest in listed.values())
