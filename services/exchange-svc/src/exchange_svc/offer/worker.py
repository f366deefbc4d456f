"""Offers follow the scenarios, within a moment of each change and with each day."""

from dxmesh_runtime.teller import Teller
from exchange_svc.offer import commands, store

OFFERS = Teller("offers", store.CHANNEL, commands.follow, commands.next_day)
