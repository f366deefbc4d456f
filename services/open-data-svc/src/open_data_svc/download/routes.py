"""HTTP in: the files of dataset versions."""

import asyncio
import base64
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from dxmesh_runtime.db import Tx
from dxmesh_runtime.problems import MEDIA_TYPE as PROBLEM_MEDIA_TYPE
from dxmesh_runtime.problems import problems
from dxmesh_schemas.problem import Problem
from dxmesh_tabular.store import ObjectStore
from open_data_svc.dataset import domain as datasets
from open_data_svc.dataset import store
from open_data_svc.dataset.domain import Format
from open_data_svc.dataset.errors import DatasetNotFound, DatasetRetired
from open_data_svc.download import domain
from open_data_svc.download.domain import RangeNotSatisfiable, Verdict

router = APIRouter(tags=["downloads"])

_DAY_SECONDS = 86_400  # a version never changes, but may be withheld: caches let go of it within a day
_OPEN_TO_ALL = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "ETag, Content-Range, Repr-Digest"}


class RangeUnsatisfiable(Problem):
    """The range lies outside the file; `complete_length_bytes` says how long it is."""

    status, slug, title = 416, "range-not-satisfiable", "The range lies outside the file"


class PreconditionFailed(Problem):
    """If-Match or If-Unmodified-Since names another content."""

    status, slug, title = 412, "precondition-failed", "The file is not the one the request names"


async def _find(tx: Tx, name: str, version: str, file: str) -> tuple[store.Dataset, store.DatasetVersion, store.DatasetFile]:
    """Return what a path names. Raises: DatasetNotFound (404), DatasetRetired (410)."""
    base, _, ending = file.rpartition(".")
    number = version.removeprefix("v")
    plain = number.isascii() and number.isdigit() and number == number.lstrip("0") and len(number) < 18
    if (
        base != name
        or ending not in set(Format)
        or not datasets.is_name(name)
        or not (version == "latest" or (version[:1] == "v" and plain))
    ):
        raise DatasetNotFound(
            f"there is no file {file!r}; files are at /datasets/NAME/vN/NAME.csv, .json or .parquet, the newest at /datasets/NAME/latest/"
        )
    dataset = await store.get_by_name(tx, name)
    row = await store.get_version(tx, dataset, dataset.version if version == "latest" else int(number))
    if not dataset.is_open:
        raise DatasetRetired(f"dataset {name} is open no longer: {dataset.retired_reason}")
    if row.removed_at is not None:
        raise DatasetRetired(f"version {row.version} of {name} is kept no longer; the newest is /datasets/{name}/latest/{file}")
    if datasets.is_withheld(row.items, dataset.open_codes):
        raise DatasetRetired(
            f"version {row.version} of {name} shows items that are open no longer; the newest is /datasets/{name}/latest/{file}"
        )
    return dataset, row, await store.get_file(tx, dataset, row.version, Format(ending))


_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file",
        "content": {form.media_type.split(";")[0]: {"schema": {"type": "string", "format": "binary"}} for form in Format},
    },
    206: {"description": "The range asked for"},
    304: {"description": "The file is the one the caller has"},
    **problems(DatasetNotFound, DatasetRetired, RangeUnsatisfiable, PreconditionFailed),
}


@router.head("/datasets/{name}/{version}/{file}", include_in_schema=False)
@router.get("/datasets/{name}/{version}/{file}", response_class=Response, responses=_RESPONSES)
async def download(
    request: Request,
    name: Annotated[str, Path(description="the dataset's name")],
    version: Annotated[str, Path(description="`latest`, or `v` and the version's number")],
    file: Annotated[str, Path(description="the dataset's name and `.csv`, `.json` or `.parquet`")],
    tx: Tx,
) -> Response:
    """Fetch a dataset's file, whole or one range of it; its strong ETag is its SHA-256."""
    dataset, row, found = await _find(tx, name, version, file)
    form = Format(found.format)
    etag = f'"{found.sha256}"'
    headers = {
        "ETag": etag,
        "Last-Modified": domain.http_date(row.published_at),
        "Accept-Ranges": "bytes",
        "Cache-Control": "public, no-cache" if version == "latest" else f"public, max-age={_DAY_SECONDS}, immutable",
        "Content-Location": f"/datasets/{name}/v{row.version}/{file}",
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(found.sha256)).decode()}:",
        "X-Content-Type-Options": "nosniff",
        **_OPEN_TO_ALL,
    }
    given = request.headers
    verdict = domain.judge(
        etag=etag,
        modified_at=row.published_at,
        if_match=given.get("if-match"),
        if_none_match=given.get("if-none-match"),
        if_modified_since=given.get("if-modified-since"),
        if_unmodified_since=given.get("if-unmodified-since"),
    )
    if verdict is Verdict.NOT_MODIFIED:
        return Response(status_code=304, headers=headers)
    if verdict is Verdict.FAILED:
        raise PreconditionFailed(f"the file's ETag is {etag}, changed {headers['Last-Modified']}")
    headers["Content-Disposition"] = domain.content_disposition(name, dataset.title, form.value)
    headers["Content-Type"] = form.media_type
    size = found.byte_count
    if request.method == "HEAD":
        return Response(headers=headers | {"Content-Length": str(size)})
    try:
        span = domain.span(given.get("range"), size, etag=etag, modified_at=row.published_at, if_range=given.get("if-range"))
    except RangeNotSatisfiable:
        problem = RangeUnsatisfiable(f"the file has {size} bytes", complete_length_bytes=size, instance=request.url.path)
        outside = {"Content-Range": f"bytes */{size}", **_OPEN_TO_ALL}
        return JSONResponse(problem.as_dict(), status_code=416, media_type=PROBLEM_MEDIA_TYPE, headers=outside)
    if span is None or span.start == 0:
        await store.count_use(tx, dataset.dataset_id, form.value)
    start, end = (span.start, span.end) if span else (0, size)
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    objects: ObjectStore = request.state.objects
    pieces = await asyncio.to_thread(objects.stream, found.object_key, start, end)
    return StreamingResponse(pieces, status_code=206 if span else 200, headers=headers | {"Content-Length": str(end - start)})
