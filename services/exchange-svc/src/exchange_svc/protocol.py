"""Requests of Kafka's protocol that aiokafka has no class for, made from their schemas (Kafka protocol guide)."""

from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Schema


def request_class(name: str, key: int, version: int, request: Schema, response: Schema, *, flexible: bool = False) -> type[Any]:
    """Return a class of requests of one version; its instances are made with the fields of `request`."""
    answer = type(f"{name}Response", (Response,), {"API_KEY": key, "API_VERSION": version, "SCHEMA": response})
    fields = {"API_KEY": key, "API_VERSION": version, "RESPONSE_TYPE": answer, "SCHEMA": request, "FLEXIBLE_VERSION": flexible}
    struct: Any = type(f"{name}Struct", (RequestStruct,), fields)

    class Call(Request[struct]):  # type: ignore[misc]  # aiokafka is untyped
        API_KEY = key

        def __init__(self, *values: Any) -> None:
            self._values = values

        def build(self, request_struct_class: Any) -> Any:
            return request_struct_class(*self._values)

    return Call
