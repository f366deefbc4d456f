"""The common page shell: server-rendered pages with one look, and who may see the operator's ones."""

from dxmesh_runtime.shell.access import DashboardAccess, SignInNeeded
from dxmesh_runtime.shell.pages import Renderer, mount, renderer

__all__ = ["DashboardAccess", "Renderer", "SignInNeeded", "mount", "renderer"]
