"""The AsyncAPI 3 document of the data topics: where rows come, in what form, as whom and in which groups they are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dxmesh_schemas.catalog import ResourceSnapshot
from dxmesh_schemas.exchange import ViewSnapshot

VERSION = "3.0.0"
_KAFKA_BINDING = "0.5.0"
_HEADERS: dict[str, Any] = {
    "type": "object",
    "required": ["batch", "row", "schema"],
    "properties": {
        "batch": {
            "type": "string",
            "format": "uuid",
            "description": "the batch the row came in; all its rows are there or none",
        },
        "row": {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "its number in the batch: with `batch` it names the row"},
        "schema": {"type": "string", "format": "uri", "description": "the JSON Schema of the resource's version"},
    },
}


@dataclass(frozen=True, slots=True)
class Channel:
    """One view's topic and the version its rows are told by; effective_at: from when that one is in force, None when it is."""

    view: ViewSnapshot
    resource: ResourceSnapshot
    effective_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """The broker as subscribers reach it."""

    bootstrap_servers: str
    security_protocol: str

    @property
    def asks_for_users(self) -> bool:
        """Say whether it lets in nobody without one."""
        return self.security_protocol.startswith("SASL")


def document(
    channels: Sequence[Channel], server: Server, *, node: str, group_prefix: str | None, schemas: Mapping[UUID, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the document.

    group_prefix: what the caller's consumer groups begin with, None for a reader of every organization's.
    schemas: the JSON Schema of each item that leaves, by view.
    """
    servers = _servers(server)
    found: dict[str, Any] = {
        "asyncapi": VERSION,
        "info": {
            "title": f"Data topics of node {node}",
            "version": "1",
            "description": (
                "A record per row. Read with `isolation.level=read_committed`: a batch is there whole or not at all, in the order of"
                " acceptance per resource. A record with a key and no value deletes that key; where records have keys, a snapshot's rows"
                " are followed by a deletion of each key that it has no more. Only a broker that lost its disk makes"
                " repeats, and those carry the same `batch` and `row`."
            ),
        },
        "defaultContentType": "application/json",
        "servers": servers,
        "channels": {str(one.view.view_id): _channel(one, servers) for one in channels},
        "operations": {f"read-{one.view.view_id}": _operation(one, server, group_prefix) for one in channels},
        "components": {"messages": {str(one.view.view_id): _message(one, schemas[one.view.view_id]) for one in channels}},
    }
    if server.asks_for_users:
        scheme = {"type": "scramSha512", "description": "user and password of a reader: POST /v1/readers"}
        found["components"]["securitySchemes"] = {"reader": scheme}
    return found


def _servers(server: Server) -> dict[str, Any]:
    protocol = "kafka-secure" if server.security_protocol.endswith("SSL") else "kafka"
    security = {"security": [{"$ref": "#/components/securitySchemes/reader"}]} if server.asks_for_users else {}
    hosts = [host.strip() for host in server.bootstrap_servers.split(",")]
    return {f"kafka-{number}": {"host": host, "protocol": protocol, **security} for number, host in enumerate(hosts, start=1)}


def _channel(one: Channel, servers: Mapping[str, Any]) -> dict[str, Any]:
    told = {
        "address": one.view.topic,
        "title": one.resource.name,
        "description": _about(one),
        "servers": [{"$ref": f"#/servers/{name}"} for name in servers],
        "messages": {"row": {"$ref": f"#/components/messages/{one.view.view_id}"}},
        "bindings": {"kafka": {"topic": one.view.topic, "bindingVersion": _KAFKA_BINDING}},
        "x-resource-id": str(one.view.resource_id),
        "x-resource-version": one.view.resource_version,
    }
    return told if one.effective_at is None else told | {"x-effective-at": one.effective_at.isoformat()}


def _about(one: Channel) -> str:
    said = f"{one.resource.provider.name}: {one.resource.name}, version {one.view.resource_version}"
    return said if one.effective_at is None else f"{said}, which is in force from {one.effective_at.isoformat()} and comes here already"


def _operation(one: Channel, server: Server, group_prefix: str | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{one.view.view_id}"},
        "messages": [{"$ref": f"#/channels/{one.view.view_id}/messages/row"}],
    }
    if server.asks_for_users and group_prefix is not None:
        group = {"type": "string", "pattern": "^" + group_prefix.replace(".", r"\."), "description": "Kafka refuses other groups"}
        told["bindings"] = {"kafka": {"groupId": group, "bindingVersion": _KAFKA_BINDING}}
    return told


def _message(one: Channel, properties: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": "row",
        "title": one.resource.name,
        "contentType": "application/json",
        "headers": _HEADERS,
        "payload": {
            "type": ["object", "null"],
            "description": "the granted items; null deletes the key",
            "properties": properties,
            "additionalProperties": False,
            "x-schema-url": one.view.schema_url,
        },
    }
    return told | {"bindings": {"kafka": {"key": _key(one.view.key, properties), "bindingVersion": _KAFKA_BINDING}}}


def _key(key: Sequence[str], properties: Mapping[str, Any]) -> dict[str, Any]:
    if not key:
        return {"type": "null", "description": "the business key is not granted, or there is none"}
    if len(key) == 1:
        return {"type": "string", "description": f"the text of `{key[0]}` ({properties[key[0]]['title']})"}
    return {"type": "string", "contentMediaType": "application/json", "description": f"a JSON array of {', '.join(key)}"}
