"""The teller of deadlines: it sleeps until the next one is near its end or missed, or until a duty changes."""

from catalog_svc.duty import commands, store
from dxmesh_runtime.teller import Teller

DEADLINES = Teller("deadlines", store.CHANNEL, commands.tell_due, store.next_moment, begin=commands.recount)
