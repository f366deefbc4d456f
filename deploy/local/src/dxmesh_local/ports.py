"""Where each part of the mesh listens on this machine."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields

from dxmesh_local.errors import LocalError

_OFFSETS = {"catalog": 1, "exchange": 2, "quality": 3, "open_data": 4, "audit": 5, "postgres": 32, "kafka": 92, "kafka_controller": 93}


@dataclass(frozen=True)
class Ports:
    """One TCP port on 127.0.0.1 per part."""

    catalog: int = 8101
    exchange: int = 8102
    quality: int = 8103
    open_data: int = 8104
    audit: int = 8105
    postgres: int = 8132
    kafka: int = 8192
    kafka_controller: int = 8193

    @classmethod
    def based(cls, base: int) -> "Ports":
        """Return the usual layout above another base (8100 when nothing is said)."""
        return cls(**{part: base + offset for part, offset in _OFFSETS.items()})

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> "Ports":
        """Read DXMESH_PORT_BASE and DXMESH_PORT_<PART>.

        Raises: LocalError for what is no port.
        """
        environment = os.environ if environment is None else environment

        def number(name: str, usual: int, highest: int) -> int:
            text = environment.get(name, "").strip()
            if not text:
                return usual
            if not (text.isascii() and text.isdigit() and 1024 <= int(text) <= highest):
                raise LocalError(f"{name}={text} is not usable: give a number from 1024 to {highest}")
            return int(text)

        base = number("DXMESH_PORT_BASE", 8100, 65535 - max(_OFFSETS.values()))
        ports = cls(**{part: number(setting(part), base + offset, 65535) for part, offset in _OFFSETS.items()})
        owners: dict[int, str] = {}
        for part, port in ports.items():
            if port in owners:
                raise LocalError(f"{setting(part)} and {setting(owners[port])} are both {port}: give each part a port of its own")
            owners[port] = part
        return ports

    @classmethod
    def free(cls) -> "Ports":
        """Return ports nobody uses at this moment (for tests)."""
        probes = [socket.socket() for _ in fields(cls)]
        try:
            for probe in probes:
                probe.bind(("127.0.0.1", 0))
            return cls(*(probe.getsockname()[1] for probe in probes))
        finally:
            for probe in probes:
                probe.close()

    def items(self) -> list[tuple[str, int]]:
        """Return part and port, in the order of the fields."""
        return [(field.name, getattr(self, field.name)) for field in fields(self)]

    def environment(self) -> dict[str, str]:
        """Return the settings that make `read` give these ports."""
        return {setting(part): str(port) for part, port in self.items()}


def setting(part: str) -> str:
    """Name the setting that moves a part."""
    return f"DXMESH_PORT_{part.upper()}"
