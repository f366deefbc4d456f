"""The policy of deadlines, as the routes are given it."""

from typing import Annotated

from fastapi import Depends, Request

from dxmesh_clocks.policy import Policy


async def _policy(request: Request) -> Policy:
    policy: Policy = request.state.deadlines
    return policy


Deadlines = Annotated[Policy, Depends(_policy)]
"""The deadlines of this node's jurisdiction."""
