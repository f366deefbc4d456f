"""What a department or a subscriber installs: the Python SDK and the dxmesh command line."""

from dxmesh_client.aio import AsyncClient
from dxmesh_client.client import Client
from dxmesh_client.config import Profile
from dxmesh_client.errors import BatchRejected, ClientError, NotConfigured, NotVerified, ProblemAnswer, Unreachable

__all__ = [
    "AsyncClient",
    "BatchRejected",
    "Client",
    "ClientError",
    "NotConfigured",
    "NotVerified",
    "ProblemAnswer",
    "Profile",
    "Unreachable",
]
