"""How large a JSON body may be: it is held whole to be parsed, so what is beyond the limit is refused before it is there."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dxmesh_schemas.problem import TooLarge


class LimitJson:
    """Refuse a body larger than the limit on the routes whose body the framework reads; a route that streams its body has its own."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = next((int(value) for name, value in scope["headers"] if name == b"content-length" and value.isdigit()), 0)
        arrived = 0

        async def limited() -> Message:
            nonlocal arrived
            # the router has told the route by now; one without a body field reads none, or streams it
            if getattr(scope.get("route"), "body_field", None) is None:
                return await receive()
            self._check(announced)
            message = await receive()
            arrived += len(message.get("body", b""))
            self._check(arrived)  # what comes in chunks is not announced
            return message

        await self._app(scope, limited, send)

    def _check(self, byte_count: int) -> None:
        if byte_count > self._max_bytes:
            detail = f"a JSON body has at most {self._max_bytes} bytes; send less of it at a time, or as a file where the API takes one"
            raise TooLarge(detail, max_bytes=self._max_bytes)
