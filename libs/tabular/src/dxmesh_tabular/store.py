"""The object store: immutable objects under keys, in a local folder or in S3; what is put is durable when the call returns."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import url2pathname
from uuid import uuid4

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.exceptions import NotFoundError as MissingObjectError
from obstore.store import LocalStore, S3Store

from dxmesh_schemas.exchange import ObjectRef
from dxmesh_schemas.problem import Conflict, NotFound, Unavailable

CHUNK_BYTES = 1 << 20
_DIGEST = "sha256"  # user metadata of an S3 object
_SINGLE_PUT_BYTES = 8 << 20  # up to here S3 itself refuses to overwrite (If-None-Match)


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing tells it."""

    key: str
    byte_count: int
    put_at: datetime


class ObjectStore:
    """A flat name space of immutable objects; a key never changes its content once it is put."""

    def __init__(self, url: str, store: LocalStore | S3Store, root: Path | None, options: Mapping[str, str]) -> None:
        self.url = url.rstrip("/")
        self._store = store
        self._root = root
        self._options = dict(options)

    @classmethod
    def open(cls, url: str, **options: str) -> Self:
        """Open `file:///folder` (made when absent) or `s3://bucket/prefix`.

        S3 credentials, region and endpoint come from `options` (`access_key_id`, `secret_access_key`, `region`, `endpoint`) or the
        usual `AWS_*` variables; an endpoint without TLS is taken as it is given.
        Raises: ValueError for any other scheme.
        """
        parts = urlsplit(url)
        if parts.scheme == "file" and parts.netloc in ("", "localhost"):
            root = Path(url2pathname(parts.path))
            root.mkdir(parents=True, exist_ok=True)
            return cls(root.as_uri(), LocalStore(root), root, {})
        if parts.scheme in ("s3", "s3a"):
            for name in ("endpoint", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
                if (options.get(name) or os.environ.get(name, "")).startswith("http://"):
                    options.setdefault("allow_http", "true")
            config: Any = {key: value for key, value in options.items() if key != "allow_http"}
            client: Any = {"allow_http": True} if options.get("allow_http") == "true" else None
            return cls(url, S3Store.from_url(url, config=config or None, client_options=client), None, options)
        raise ValueError(f"an object store is file:///folder or s3://bucket/prefix, not {url!r}")

    @property
    def storage_options(self) -> dict[str, str]:
        """Return what Delta Lake needs to reach the same store; S3 commits are conditional puts, so two writers cannot both win."""
        if self._root is not None:
            return {}
        prefixed = {
            name if name.startswith("allow_") else f"aws_{name.removeprefix('aws_')}": value for name, value in self._options.items()
        }
        return {"conditional_put": "etag", **prefixed}

    def uri(self, key: str) -> str:
        """Return the address of a key or folder, as Delta Lake and polars take it (a plain path when local)."""
        return f"{self.url}/{_checked(key)}" if self._root is None else str(self._root / _checked(key))

    def put_file(self, key: str, path: Path, *, row_count: int = 0) -> ObjectRef:
        """Put a file under a key; its bytes and its name are on disk (or confirmed by S3) when this returns.

        Locally the file is hard-linked when it lies on the same device, so it must not be written to afterwards.
        Putting the same content again is fine. Raises: Conflict (409) when the key holds another content.
        """
        digest = sha256_of(path)
        ref = ObjectRef(key=_checked(key), sha256=digest, byte_count=path.stat().st_size, row_count=row_count)
        with _answered(key):
            if self._root is not None:
                self._link(ref, path)
            else:
                self._upload(ref, path)
        return ref

    def put_bytes(self, key: str, content: bytes, *, row_count: int = 0) -> ObjectRef:
        """Put bytes under a key; as `put_file`."""
        with tempfile.TemporaryDirectory(dir=self._root, prefix=".put-") as folder:
            path = Path(folder) / "content"
            path.write_bytes(content)
            return self.put_file(key, path, row_count=row_count)

    @contextmanager
    def new_file(self, key: str) -> Iterator[Path]:
        """Give a path to write a file to, put under a key that nobody else uses: on disk, bytes and name, when the block ends.

        A block that is cut short may leave a part of it under the key.
        """
        if self._root is not None:
            target = self._root / _checked(key)
            _make_folders(target.parent)
            with _answered(key):
                yield target
                sync(target)
                sync(target.parent)
            return
        with tempfile.NamedTemporaryFile(prefix="dxmesh-object-") as file:
            yield Path(file.name)
            with _answered(key):
                obstore.put(self._store, _checked(key), Path(file.name))

    def list_objects(self, folder: str) -> Iterator[Listed]:
        """Yield every object below a folder; one that is not there has none."""
        with _answered(folder):
            for page in obstore.list(self._store, f"{_checked(folder)}/"):
                yield from (Listed(entry["path"], entry["size"], entry["last_modified"]) for entry in page)

    def get_bytes(self, key: str) -> bytes:
        """Return an object's whole content. Raises: NotFound (404)."""
        with _answered(key):
            return obstore.get(self._store, _checked(key)).bytes().to_bytes()

    def size(self, key: str) -> int:
        """Return an object's length in bytes. Raises: NotFound (404)."""
        with _answered(key):
            return int(obstore.head(self._store, _checked(key))["size"])

    def exists(self, key: str) -> bool:
        """Say whether the key holds an object."""
        try:
            self.size(key)
        except NotFound:
            return False
        return True

    def delete(self, key: str) -> None:
        """Remove an object; removing what is not there is fine."""
        with suppress(NotFound), _answered(key):
            obstore.delete(self._store, _checked(key))

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield an object's bytes from `start` to before `end`, in pieces of about a megabyte. Raises: NotFound (404), at once."""
        total = self.size(key)
        end = total if end is None else min(end, total)
        return self._pieces(key, start, end)

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        """Give a path that can be read: the object itself when local (do not write to it), else a temporary copy.

        Raises: NotFound (404).
        """
        if self._root is not None:
            path = self._root / _checked(key)
            if not path.is_file():
                raise NotFound(f"there is no object {key}")
            yield path
            return
        with tempfile.NamedTemporaryFile(prefix="dxmesh-object-") as copy:
            for piece in self.stream(key):
                copy.write(piece)
            copy.flush()
            yield Path(copy.name)

    def _pieces(self, key: str, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            stop = min(start + CHUNK_BYTES, end)
            with _answered(key):
                yield obstore.get_range(self._store, _checked(key), start=start, end=stop).to_bytes()
            start = stop

    def _link(self, ref: ObjectRef, path: Path) -> None:
        assert self._root is not None
        target = self._root / ref.key
        _make_folders(target.parent)
        sync(path)
        try:
            os.link(path, target)
        except FileExistsError:
            _same_or_conflict(ref, sha256_of(target))
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                raise
            self._copy(ref, path, target)
        sync(target.parent)

    def _copy(self, ref: ObjectRef, path: Path, target: Path) -> None:
        beside = target.with_name(f".{target.name}.{uuid4().hex}")
        try:
            shutil.copyfile(path, beside)
            sync(beside)
            os.link(beside, target)
        except FileExistsError:
            _same_or_conflict(ref, sha256_of(target))
        finally:
            beside.unlink(missing_ok=True)

    def _upload(self, ref: ObjectRef, path: Path) -> None:
        attributes: Any = {_DIGEST: ref.sha256}
        if self.exists(ref.key):
            _same_or_conflict(ref, self._digest(ref.key))
        elif ref.byte_count > _SINGLE_PUT_BYTES:
            obstore.put(self._store, ref.key, path, attributes=attributes)
        else:
            try:
                obstore.put(self._store, ref.key, path, attributes=attributes, mode="create")
            except AlreadyExistsError:
                _same_or_conflict(ref, self._digest(ref.key))

    def _digest(self, key: str) -> str:
        known: Any = obstore.get(self._store, key, options={"head": True}).attributes
        if _DIGEST in known:
            return str(known[_DIGEST])
        digest = hashlib.sha256()
        for piece in self.stream(key):
            digest.update(piece)
        return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Force a file's bytes, or a folder's names, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make_folders(folder: Path) -> None:
    """Make a folder and those above it, each name synced: without that, a crash could take the folder and what was put in it."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)


def _checked(key: str) -> str:
    parts = key.split("/")
    if not all(parts) or any(part in (".", "..") for part in parts) or "\\" in key or "\0" in key:
        raise ValueError(f"{key!r} is not an object key")
    return key


def _same_or_conflict(ref: ObjectRef, held: str) -> None:
    if held != ref.sha256:
        raise Conflict(f"{ref.key} already holds another content", held_sha256=held, sent_sha256=ref.sha256)


@contextmanager
def _answered(key: str) -> Iterator[None]:
    """Turn what the store says into a problem: NotFound for an object that is not there, Unavailable for a store that is away or full."""
    try:
        yield
    except (MissingObjectError, FileNotFoundError) as error:
        raise NotFound(f"there is no object {key}") from error
    except BaseError as error:
        raise Unavailable("the object store does not answer; try again later") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable("the object store is full; free space and try again") from error
        raise
