"""Rules of information systems: their states, and who may call one the main system of a sector."""

from dataclasses import dataclass

from catalog_svc.system.errors import SystemTransition
from dxmesh_schemas.catalog import SystemKind, SystemState
from dxmesh_schemas.problem import Fault

_NEXT = {
    SystemState.PLANNED: (SystemState.IN_SERVICE, SystemState.RETIRED),  # a plan may be given up
    SystemState.IN_SERVICE: (SystemState.RETIRED,),
    SystemState.RETIRED: (),
}


def advance(state: SystemState, wanted: SystemState) -> SystemState:
    """Return the state that is wanted. Raises: SystemTransition (409) when it does not follow.

    Source: planned → in service → retired; 「关停“僵尸”系统」.
    """
    if wanted is state:
        raise SystemTransition(f"the system is {state} already", state=state.value)
    if wanted not in _NEXT[state]:
        remedy = "register a new one instead" if state is SystemState.RETIRED else f"it can become {' or '.join(_NEXT[state])}"
        raise SystemTransition(f"a system that is {state} does not become {wanted}; {remedy}", state=state.value)
    return wanted


def refuse_change(state: SystemState) -> None:
    """Raise SystemTransition (409) when a system takes no change."""
    if state is SystemState.RETIRED:
        raise SystemTransition("the system is retired and stays as it was; register a new one instead", state=state.value)


def cloud_fault(kind: SystemKind, on_gov_cloud: bool | None) -> Fault | None:
    """Return what keeps a system from serving where it runs: an organization's own runs on the government cloud (S10).

    One that is run from above is not its organization's to place.
    Source: 「非涉密系统要依托市政务云进行建设和部署」; secret systems are none of this node's.
    """
    if kind is not SystemKind.OWN or on_gov_cloud:
        return None
    said = "nobody said whether the system is" if on_gov_cloud is None else "the system is not"
    remedy = "enter that it is (PUT /v1/systems/{id}), or have the data authority put it in service, with the reason"
    return "/on_gov_cloud", f"{said} on the government cloud; {remedy}"


@dataclass(frozen=True, slots=True)
class Main:
    """Whether a system is the main one, and of which sector it is."""

    is_main_system: bool = False
    sector: str | None = None


def main_faults(main: Main) -> list[Fault]:
    """Return what is wrong with a main system's entry."""
    if main.is_main_system and main.sector is None:
        return [("/sector", "is missing: a main system is that of a sector; name its code, see GET /v1/sectors")]
    return []
