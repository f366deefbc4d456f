"""Downloads: whole files, ranges, revalidation, names, counters, and everything that can be wrong with a path."""

import base64
import hashlib
from typing import Any
from urllib.parse import quote

import pytest

NAME = "307001-000123"
URL = f"/datasets/{NAME}/v1/{NAME}.csv"


@pytest.mark.parametrize(
    ("ending", "media_type"),
    [("csv", "text/csv; charset=utf-8; header=present"), ("json", "application/json"), ("parquet", "application/vnd.apache.parquet")],
)
async def test_a_file_comes_with_its_type_digest_and_name(open_data: Any, ending: str, media_type: str) -> None:
    await open_data.opened()
    answer = await open_data.client.get(f"/datasets/{NAME}/v1/{NAME}.{ending}")
    digest = hashlib.sha256(answer.content)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["etag"] == f'"{digest.hexdigest()}"'
    assert answer.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-disposition"] == (
        f"attachment; filename=\"{NAME}.{ending}\"; filename*=UTF-8''{quote('全市街道名录')}.{ending}"
    )
    assert answer.headers["last-modified"].endswith("GMT")


async def test_latest_is_the_newest_version_and_must_be_asked_for_again(open_data: Any) -> None:
    resource = await open_data.opened()
    first = await open_data.client.get(f"/datasets/{NAME}/latest/{NAME}.json")
    await open_data.advance(resource, open_data.streets(2))
    second = await open_data.client.get(f"/datasets/{NAME}/latest/{NAME}.json", headers={"If-None-Match": first.headers["etag"]})
    assert len(second.json()) == 2
    assert second.headers["content-location"] == f"/datasets/{NAME}/v2/{NAME}.json"
    assert second.headers["cache-control"] == "public, no-cache"
    old = await open_data.client.get(f"/datasets/{NAME}/v1/{NAME}.json")
    assert old.content == first.content


async def test_what_the_caller_has_is_not_sent_again(open_data: Any) -> None:
    await open_data.opened()
    first = await open_data.client.get(URL)
    again = await open_data.client.get(URL, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    since = await open_data.client.get(URL, headers={"If-Modified-Since": first.headers["last-modified"]})
    assert since.status_code == 304
    failed = await open_data.client.get(URL, headers={"If-Match": '"other"'})
    assert failed.status_code == 412
    assert failed.headers["content-type"] == "application/problem+json"


async def test_head_tells_everything_and_sends_nothing(open_data: Any) -> None:
    await open_data.opened()
    whole = await open_data.client.get(URL)
    head = await open_data.client.head(URL)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "etag", "content-type", "accept-ranges", "content-disposition"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(("header", "part"), [("bytes=0-9", slice(0, 10)), ("bytes=10-", slice(10, None)), ("bytes=-7", slice(-7, None))])
async def test_a_range_is_sent_alone(open_data: Any, header: str, part: slice) -> None:
    await open_data.opened()
    whole = (await open_data.client.get(URL)).content
    answer = await open_data.client.get(URL, headers={"Range": header})
    start, stop, _ = part.indices(len(whole))
    assert (answer.status_code, answer.content) == (206, whole[part])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(whole)}"
    assert int(answer.headers["content-length"]) == stop - start


@pytest.mark.parametrize("header", ["bytes=0-1,3-4", "lines=1-2", "bytes=z", "bytes=5-1", "bytes=" + "9" * 40 + "-"])
async def test_a_range_that_makes_no_sense_is_disregarded(open_data: Any, header: str) -> None:
    await open_data.opened()
    assert (await open_data.client.get(URL, headers={"Range": header})).status_code == 200


async def test_a_range_outside_the_file_is_refused_with_its_length(open_data: Any) -> None:
    await open_data.opened()
    size = len((await open_data.client.get(URL)).content)
    answer = await open_data.client.get(URL, headers={"Range": f"bytes={size}-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{size}"
    assert answer.json()["complete_length_bytes"] == size


async def test_a_range_of_another_content_is_answered_with_the_whole(open_data: Any) -> None:
    await open_data.opened()
    etag = (await open_data.client.head(URL)).headers["etag"]
    assert (await open_data.client.get(URL, headers={"Range": "bytes=0-1", "If-Range": '"old"'})).status_code == 200
    assert (await open_data.client.get(URL, headers={"Range": "bytes=0-1", "If-Range": etag})).status_code == 206


async def test_downloads_are_counted_and_nothing_else_is(open_data: Any) -> None:
    await open_data.opened()
    etag = (await open_data.client.get(URL)).headers["etag"]
    await open_data.client.get(URL, headers={"Range": "bytes=0-3"})
    await open_data.client.head(URL)
    await open_data.client.get(URL, headers={"Range": "bytes=4-9"})
    await open_data.client.get(URL, headers={"If-None-Match": etag})
    await open_data.client.get(URL, headers={"Range": "bytes=99999999-"})
    assert (await open_data.client.get("/v1/statistics")).json()["downloads"] == 2


@pytest.mark.parametrize(
    "path",
    [
        f"/datasets/{NAME}/v2/{NAME}.csv",
        f"/datasets/{NAME}/v0/{NAME}.csv",
        f"/datasets/{NAME}/v01/{NAME}.csv",
        f"/datasets/{NAME}/v-1/{NAME}.csv",
        f"/datasets/{NAME}/v99999999999999999999/{NAME}.csv",
        f"/datasets/{NAME}/v１/{NAME}.csv",
        f"/datasets/{NAME}/1/{NAME}.csv",
        f"/datasets/{NAME}/v1/other.csv",
        f"/datasets/{NAME}/v1/{NAME}.xlsx",
        f"/datasets/{NAME}/v1/{NAME}",
        "/datasets/nothing/v1/nothing.csv",
        "/datasets/%00/v1/%00.csv",
        "/datasets/..%2f..%2fetc/v1/..%2f..%2fetc.csv",
        f"/datasets/{NAME}/v1/..%2f..%2f..%2fetc%2fpasswd",
        f"/datasets/{NAME}/%2e%2e/{NAME}.csv",
        "/datasets/%E8%A1%97/v1/%E8%A1%97.csv",
    ],
)
async def test_what_does_not_exist_is_not_found(open_data: Any, path: str) -> None:
    await open_data.opened()
    answer = await open_data.client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_retired_dataset_is_gone(open_data: Any) -> None:
    resource = await open_data.opened()
    await open_data.withdraw(resource, reason="merged into another")
    for url in (URL, f"/datasets/{NAME}/latest/{NAME}.csv"):
        answer = await open_data.client.get(url)
        assert answer.status_code == 410
        assert "merged into another" in answer.json()["detail"]


async def test_browsers_of_other_sites_may_read_the_files(open_data: Any) -> None:
    await open_data.opened()
    assert (await open_data.client.get(URL)).headers["access-control-allow-origin"] == "*"
