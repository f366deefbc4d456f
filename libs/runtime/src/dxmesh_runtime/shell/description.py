"""The service's OpenAPI description over HTTP: made once, kept as the bytes that are sent."""

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from typing import Annotated

import orjson
from fastapi import FastAPI, Header, Response

URL = "/openapi.json"


@dataclass(frozen=True, slots=True)
class _Sent:
    plain: bytes
    packed: bytes
    tag: str


def mount(app: FastAPI) -> None:
    """Serve the description; the first request makes it in a thread, as it takes a second for a hundred operations."""
    made: list[_Sent] = []
    making = asyncio.Lock()

    def make() -> _Sent:
        plain = orjson.dumps(app.openapi())
        return _Sent(plain, gzip.compress(plain, mtime=0), f'"{hashlib.sha256(plain).hexdigest()[:32]}"')

    @app.get(URL, include_in_schema=False)
    async def description(
        if_none_match: Annotated[str | None, Header()] = None, accept_encoding: Annotated[str | None, Header()] = None
    ) -> Response:
        async with making:
            if not made:
                made.append(await asyncio.to_thread(make))
        sent = made[0]
        # "no-cache" is kept, and asked after: a newer service may describe itself otherwise
        headers = {"ETag": sent.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if if_none_match is not None and sent.tag in if_none_match:
            return Response(status_code=304, headers=headers)
        if "gzip" in (accept_encoding or ""):
            return Response(sent.packed, media_type="application/json", headers=headers | {"Content-Encoding": "gzip"})
        return Response(sent.plain, media_type="application/json", headers=headers)
