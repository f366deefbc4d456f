"""A running mesh as its users see it: departments, resources, pushes, and a plain Kafka reader."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer

from dxmesh_client import Client, ProblemAnswer, Profile, publication
from dxmesh_client.models import Grant
from dxmesh_local.mesh import Mesh
from dxmesh_runtime import broker
from dxmesh_runtime.settings import KafkaSettings

_WEIGHTS = [pow(3, i, 31) for i in range(17)]
_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_APPROVER = "政务数据共享工作机构负责人"


def uscc(number: int) -> str:
    """Return a valid unified social credit code (GB 32100, GB 11714) made from a number."""
    body = f"{number:08d}"
    check = 11 - sum(int(digit) * weight for digit, weight in zip(body, (3, 7, 9, 10, 5, 8, 4, 2), strict=True)) % 11
    code = "11330600" + body + {10: "X", 11: "0"}.get(check, str(check))
    return code + _ALPHABET[-sum(_ALPHABET.index(c) * w for c, w in zip(code, _WEIGHTS, strict=True)) % 31]


def until(holds: Callable[[], Any], seconds: float, otherwise: str) -> Any:
    """Return what `holds` says once it is true; fail after so long."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{otherwise} after {seconds:.0f} s"
        time.sleep(0.05)
    return found


@dataclass
class Department:
    """An organization and a client that acts for it."""

    organization_id: UUID
    client: Client


class Node:
    """One mesh, with its authority's client."""

    def __init__(self, mesh: Mesh, *, patience_seconds: float = 60) -> None:
        self.mesh = mesh
        self.profile = Profile.model_validate_json(mesh.home.client_file.read_bytes())
        self.authority = Client(self.profile, patience_seconds=patience_seconds)
        self._patience = patience_seconds
        self._numbers = iter(range(10_000_001, 10_100_000))

    def department(self, name: str, *roles: str) -> Department:
        """Register an organization and return it with a client that enters and approves for it."""
        organizations = f"{self.profile.catalog}/v1/organizations"
        body = {"name": name, "uscc": uscc(next(self._numbers)), "level": "city", "division_code": "3306", "kind": "department"}
        found = self.authority.call("POST", organizations, json=body).json()
        credential = {"name": "tests", "roles": list(roles) or ["steward", "cdo"]}
        made = self.authority.call("POST", f"{organizations}/{found['organization_id']}/credentials", json=credential).json()
        profile = self.profile.as_client(made["client_id"], made["client_secret"])
        return Department(UUID(found["organization_id"]), Client(profile, patience_seconds=self._patience))

    def resource(self, provider: Department, name: str, items: list[dict[str, Any]], **fields: Any) -> UUID:
        """Register and publish a resource of a department, and wait until the other services know it."""
        catalog = self.profile.catalog
        system = provider.client.call("POST", f"{catalog}/v1/systems", json={"name": f"{name}系统"}).json()
        body = {
            "system_id": system["system_id"],
            "name": name,
            "summary": name,
            "class_path": "3/01/001/1",
            "items": items,
            "update_cycle": "DAILY",
            "standing_consent": {"approved_by": _APPROVER},
            "steward": "数据管理员",
            **fields,
        }
        found = provider.client.call("POST", f"{catalog}/v1/resources", json=body).json()
        publication.put_in_force(provider.client, self.authority, found["resource_id"], assessed_by=_APPROVER)
        resource_id = UUID(found["resource_id"])
        for url in (
            f"{self.profile.exchange}/v1/resources/{resource_id}/batches",
            f"{self.profile.quality}/v1/resources/{resource_id}/rules",
        ):
            until(lambda url=url: self._exists(provider.client, url), 60, f"{url} is not known")  # type: ignore[misc]
        return resource_id

    @staticmethod
    def _exists(client: Client, url: str) -> bool:
        try:
            client.call("GET", url)
        except ProblemAnswer as problem:
            if problem.status == 404:
                return False
            raise
        return True

    def grant(self, requester: Department, resource_id: UUID, **fields: Any) -> Grant:
        """Ask for access to an unconditional resource and return the grant."""
        request = requester.client.request_access(
            resource_id, legal_basis="政务数据共享条例", scenario="核对", purpose="行政依据", approved_by=_APPROVER, **fields
        )
        assert request.grant_id is not None, request
        return requester.client.grant(request.grant_id)

    def ledger(self) -> dict[str, Any]:
        """Return the ledger's totals."""
        found: dict[str, Any] = self.authority.call("GET", f"{self.profile.audit}/v1/ledger").json()
        return found

    def balanced_ledger(self, seconds: float = 60) -> dict[str, Any]:
        """Return the ledger once nothing is undecided or in flight; it must balance then."""

        def settled() -> dict[str, Any] | None:
            found = self.ledger()
            return found if found["undecided"] == 0 and found["in_flight"] == 0 else None

        found: dict[str, Any] = until(settled, seconds, f"the ledger does not settle: {self.ledger()}")
        assert found["balanced"], found
        return found

    def close(self) -> None:
        """Close the authority's client."""
        self.authority.close()


def csv_of(rows: Iterable[dict[str, Any]], file: Path) -> Path:
    """Write rows as CSV."""
    listed = list(rows)
    lines = [",".join(listed[0])]
    lines += [",".join(f'"{value}"' for value in row.values()) for row in listed]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@dataclass(frozen=True)
class Seen:
    """A record as a subscriber sees it."""

    batch: str
    row: int
    key: str | None
    value: dict[str, Any] | None


def librdkafka(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the same connection in librdkafka's words."""
    names = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "security.protocol": kafka.security_protocol,
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.username": kafka.sasl_username,
        "sasl.password": kafka.sasl_password,
    }
    return {name: value for name, value in names.items() if value}


def read_topic(kafka: KafkaSettings, topic: str, expected: int, *, seconds: float = 60) -> list[Seen]:
    """Read a topic from its beginning with a plain read_committed client until `expected` rows came, then to its end."""
    return asyncio.run(_read_topic(kafka, topic, expected, seconds))


async def _read_topic(kafka: KafkaSettings, topic: str, expected: int, seconds: float) -> list[Seen]:
    consumer = AIOKafkaConsumer(
        topic, **broker.options(kafka), isolation_level="read_committed", auto_offset_reset="earliest", metadata_max_age_ms=1000
    )
    await consumer.start()
    seen: list[Seen] = []
    try:
        async with asyncio.timeout(seconds):
            while len(seen) < expected or not await _at_end(consumer):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        headers = dict(record.headers)
                        value = json.loads(record.value) if record.value is not None else None
                        key = record.key.decode() if record.key is not None else None
                        seen.append(Seen(headers["batch"].decode(), int(headers["row"]), key, value))
    except TimeoutError:
        raise AssertionError(f"{len(seen)} of {expected} rows came within {seconds:.0f} s") from None
    finally:
        await consumer.stop()
    return seen


async def _at_end(consumer: AIOKafkaConsumer) -> bool:
    places = list(consumer.assignment())
    ends = await consumer.end_offsets(places)
    return bool(places) and all([await consumer.position(place) >= ends[place] for place in places])
