"""Apache Kafka's jars: fetched once from Maven Central, and run only when each is byte for byte the one we know."""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dxmesh_local.errors import DownloadFailed, HomeUnusable, JarsRefused

KAFKA = "org.apache.kafka:kafka_2.13:4.4.0+org.slf4j:slf4j-simple:1.7.36"
KNOWN = Path(__file__).with_name("kafka-jars.sha256")
_TOGETHER = 6  # downloads at once
_SECONDS = 30  # silence on one connection before it counts as lost


def known(listing: Path = KNOWN) -> dict[str, str]:
    """Read the list kept in this package (the form `sha256sum -c` reads): Maven path → sha256 in hex."""
    return {path: digest for digest, path in (line.split() for line in listing.read_text().splitlines() if line)}


def repository() -> Path:
    """Return the folder of the user's cache that keeps the jars, shared by every clone of the mesh."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dxmesh" / "maven"


def kafka(
    say: Callable[[str], None] = lambda _: None,
    *,
    folder: Path | None = None,
    expected: Mapping[str, str] | None = None,
    central: str | None = None,
) -> list[Path]:
    """Return the jars of Kafka, downloading those that are missing or damaged (45 MB, once per user).

    Raises: DownloadFailed without network, JarsRefused when what came is not what we know, HomeUnusable when it cannot be stored.
    """
    folder = repository() if folder is None else folder
    expected = known() if expected is None else expected
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder):
            wrong = _differing(folder, expected)
            if wrong:
                for path in wrong:
                    (folder / path).unlink(missing_ok=True)
                _fetch(folder, wrong, say, central)
                wrong = _differing(folder, expected)
    except OSError as fault:
        raise HomeUnusable.because(fault, folder) from fault
    if wrong:
        for path in wrong:
            (folder / path).unlink(missing_ok=True)
        raise JarsRefused(
            f"{len(wrong)} of the jars Maven Central gave are not the ones this version was checked against (first: {wrong[0]});"
            " nothing was started: try again on another network, or set KAFKA__BOOTSTRAP_SERVERS to a Kafka of yours"
        )
    return [folder / path for path in expected]


def _differing(folder: Path, expected: Mapping[str, str]) -> list[str]:
    return [path for path, digest in expected.items() if _digest(folder / path) != digest]


def _digest(file: Path) -> str | None:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _fetch(folder: Path, paths: list[str], say: Callable[[str], None], central: str | None) -> None:
    import requests
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext, PythonResolver

    started, received, told = time.monotonic(), 0, 0.0

    @contextlib.contextmanager
    def progress(_name: str, _bytes: int) -> Iterator[Callable[[int], None]]:
        def count(more: int) -> None:
            nonlocal received, told
            received += more
            now = time.monotonic() - started
            if now - told >= 2:
                told = now
                say(f"fetching Kafka from Maven Central: {received / 1e6:.0f} MB of about 45 MB")

        yield count

    say(f"fetching Kafka from Maven Central ({len(paths)} jars, about 45 MB, once)")
    context = MavenContext(
        resolver=PythonResolver(progress_callback=progress),
        repo_cache=folder,
        remote_repos={"central": central or MAVEN_CENTRAL_URL},
        timeout=_SECONDS,
    )

    def one(path: str) -> None:
        *group, artifact, version, _file = path.split("/")
        context.project(".".join(group), artifact).at_version(version).artifact().resolve()

    try:
        with ThreadPoolExecutor(_TOGETHER) as pool:
            try:
                list(pool.map(one, paths))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    except (requests.RequestException, RuntimeError) as fault:
        if isinstance(fault.__context__, OSError) and fault.__context__.errno:
            raise fault.__context__ from fault
        raise DownloadFailed(
            f"Kafka could not be fetched from Maven Central ({_reason(fault)}): connect to the network for the first start (45 MB, once;"
            " HTTPS_PROXY is honoured), or set KAFKA__BOOTSTRAP_SERVERS to a Kafka of yours"
        ) from fault


def _reason(fault: Exception) -> str:
    import requests

    if isinstance(fault, requests.Timeout):
        return f"no answer within {_SECONDS} s"
    if isinstance(fault, requests.ConnectionError):
        return "no connection"
    return str(fault).split(" remote repositories")[0][:120]


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one process at a time check and fetch."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def resolve() -> list[str]:
    """Walk Kafka's dependencies on Maven Central and return the lines of the list anew (for a change of version)."""
    import jgo

    def line(artifact: Any) -> str:
        file: Path = artifact.resolve()
        return f"{_digest(file)}  {artifact.component.path_prefix.as_posix()}/{artifact.filename}"

    return sorted((line(artifact) for artifact in jgo.resolve(KAFKA) if artifact.packaging == "jar"), key=lambda text: text.split("/")[-1])
