"""What can go wrong on one machine, each as one line that says what to do."""

import errno
from pathlib import Path


class LocalError(Exception):
    """One line for the person at the keyboard: what is wrong, then the remedy."""


class PortTaken(LocalError):
    """Another program listens where a part of the mesh wants to."""

    def __init__(self, port: int, part: str, setting: str, owner: str = "another program") -> None:
        super().__init__(
            f"port {port} ({part}) is taken by {owner}: stop it, or move {part} with {setting}=<port>"
            " (DXMESH_PORT_BASE=<port> moves all parts)"
        )


class JarsRefused(LocalError):
    """The downloaded Kafka is not byte for byte the one this version was checked against."""


class DownloadFailed(LocalError):
    """Kafka could not be fetched from Maven Central."""


class PartFailed(LocalError):
    """A part ended or stayed silent while it was being started."""

    def __init__(self, part: str, reason: str, log: Path | None = None) -> None:
        super().__init__(f"{part} {reason}" + (f"; its log is {log}" if log else ""))


class HomeUnusable(LocalError):
    """The folder that keeps the mesh's data cannot be written."""

    @classmethod
    def because(cls, fault: OSError, folder: Path) -> "HomeUnusable":
        """Name the remedy that fits the fault of the operating system."""
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            return cls.full(folder)
        return cls(f"{folder} cannot be written ({fault.strerror}): correct its owner and mode, or set DXMESH_HOME to a folder of yours")

    @classmethod
    def full(cls, folder: Path) -> "HomeUnusable":
        """Say that no room is left."""
        return cls(f"the disk that holds {folder} is full: free at least 2 GB, or set DXMESH_HOME to a folder on another disk")
