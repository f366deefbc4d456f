"""The address this service is known by, for what it gives out that points back to it."""

from typing import Annotated

from fastapi import Depends, Request


async def _public_url(request: Request) -> str:
    url: str = request.state.public_url
    return url


PublicUrl = Annotated[str, Depends(_public_url)]
