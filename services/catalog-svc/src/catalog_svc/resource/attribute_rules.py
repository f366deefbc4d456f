"""The rules of what an entry says beside its items: format, way of sharing, basis, census, related resources, camera."""

import re
from collections.abc import Iterator

from catalog_svc.resource.definition import Definition, Settled
from catalog_svc.resource.facts import Facts
from dxmesh_schemas.catalog import SharingType
from dxmesh_schemas.catalog_attributes import FITTING_MODES, FORMAT_TYPES, FormatClass, ResourceKind, SharingChannel, SharingMode
from dxmesh_schemas.problem import Fault

OTHER = "other"
_MAX_TYPE = 40
_PROVINCES = (
    "北京|天津|河北|山西|内蒙古|辽宁|吉林|黑龙江|上海|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|广西|海南|重庆|四川|贵州|云南"
    "|西藏|陕西|甘肃|青海|宁夏|新疆"
)
_NATIONAL = re.compile("^(?:国务院|中华人民共和国|全国人民代表大会|全国人大)")
_LOCAL = re.compile(
    rf"^(?:{_PROVINCES}|[\u4e00-\u9fff]{{2,10}}?(?:自治区|自治州|自治县|经济特区)|[\u4e00-\u9fff]{{2,4}}(?<![城上股超])市(?!场))"
)
"""A title that begins with a place: laws and regulations of the whole country do not."""


def faults(entry: Definition | Settled, facts: Facts, sharing: SharingType) -> Iterator[Fault]:
    """Yield (JSON pointer, what is wrong and what to do) for every rule that is broken."""
    yield from _format(entry)
    yield from _way(entry, sharing)
    yield from _basis(entry)
    yield from _census(entry)
    yield from _taxonomies(entry, facts)
    yield from _related(entry, facts)
    yield from _video(entry)


def format_type(entry: Definition) -> str | None:
    """Return the format type as the dictionary spells it."""
    if entry.format_class is None or entry.format_type is None:
        return entry.format_type
    known = {name.casefold(): name for name in (*FORMAT_TYPES[entry.format_class], OTHER)}
    return known.get(entry.format_type.casefold(), entry.format_type)


def _format(entry: Definition | Settled) -> Iterator[Fault]:
    if entry.format_class is None:
        for field in ("format_type", "format_note"):
            if getattr(entry, field):
                yield f"/{field}", "stands without format_class; say first what class of format it is"
        return
    named = (entry.format_type or "").casefold()
    if entry.format_class is FormatClass.SELF_DESCRIBING:
        if not entry.format_note:
            yield "/format_note", "is missing: a self-describing format says what it is"
    elif entry.format_type is None:
        yield "/format_type", f"is missing; {_types(entry.format_class)}"
    elif named == OTHER:
        if not entry.format_note:
            yield "/format_note", "is missing: `other` says what the format is"
    elif named not in {name.casefold() for name in FORMAT_TYPES[entry.format_class]}:
        yield "/format_type", f"{entry.format_type[:_MAX_TYPE]!r} is no type of {entry.format_class}; {_types(entry.format_class)}"
    fitting = FITTING_MODES[entry.format_class]
    if entry.sharing_mode is not None and entry.sharing_mode not in fitting:
        yield "/sharing_mode", f"is {entry.sharing_mode}; a resource of format {entry.format_class} is shared as {' or '.join(fitting)}"


def _types(kind: FormatClass) -> str:
    return f"write one of {', '.join(FORMAT_TYPES[kind])}, or `other` with a format_note"


def _way(entry: Definition | Settled, sharing: SharingType) -> Iterator[Fault]:
    if sharing is SharingType.NOT_SHARED:
        for field in ("sharing_channel", "sharing_mode"):
            if getattr(entry, field) is not None:
                yield f"/{field}", "says how it is shared, and this resource is NOT_SHARED; leave it out"
    elif sharing is SharingType.UNCONDITIONAL and entry.sharing_reason:
        yield "/sharing_reason", "says why it is restricted, and this resource is UNCONDITIONAL; leave it out"
    if entry.sharing_mode is SharingMode.API and entry.sharing_channel not in (None, SharingChannel.PLATFORM):
        yield "/sharing_channel", f"is {entry.sharing_channel}; an interface is reached by the platform: write PLATFORM"
    for index, purpose in enumerate(entry.sharing_purposes):
        if purpose in entry.sharing_purposes[:index]:
            yield f"/sharing_purposes/{index}", f"{purpose} stands in the list twice"


def _basis(entry: Definition | Settled) -> Iterator[Fault]:
    if entry.non_sharing_basis is None:
        return
    title = entry.non_sharing_basis.title.strip("《》 ")
    if _LOCAL.search(title) and not _NATIONAL.search(title):
        yield (
            "/non_sharing_basis/title",
            f"《{title}》 is a local rule by its title; only a law, an administrative regulation or a decision of the State Council"
            " forbids sharing (GDSR Art. 14)",
        )


def _census(entry: Definition | Settled) -> Iterator[Fault]:
    if entry.census is None:
        return
    for unit in ("gb", "rows_10k"):
        total = getattr(entry.census, f"total_{unit}")
        for part in ("shared", "open"):
            # a total of 0 says that it is not known
            if total and getattr(entry.census, f"{part}_{unit}") > total:
                yield f"/census/{part}_{unit}", f"is above total_{unit}, which is {total:g}"


def _taxonomies(entry: Definition | Settled, facts: Facts) -> Iterator[Fault]:
    """A retired entry keeps the members of a version in force, and takes no new ones."""
    spelt = {code.casefold(): code for code in facts.taxonomies}
    for index, named in enumerate(entry.taxonomies):
        at = f"/taxonomies/{index}"
        code = spelt.get(named.casefold())
        if named in entry.taxonomies[:index]:
            yield at, f"{named} stands in the list twice"
        elif code is None:
            yield at, f"no base database, domain warehouse or theme database has the code {named!r}; GET /v1/taxonomies lists them"
        elif code != named:
            yield at, f"is spelt {code}; write it so"
        elif facts.taxonomies[code] and (facts.published is None or code not in facts.published.taxonomies):
            yield at, f"{code} is retired and takes no new members; name one that is in use"


def _related(entry: Definition | Settled, facts: Facts) -> Iterator[Fault]:
    for index, code in enumerate(entry.related_codes):
        if code == facts.resource_code:
            yield f"/related_codes/{index}", "is the resource's own code; leave it out"
        if code in entry.related_codes[:index]:
            yield f"/related_codes/{index}", f"{code} stands in the list twice"


def _video(entry: Definition | Settled) -> Iterator[Fault]:
    if entry.kind is ResourceKind.VIDEO and entry.video is None:
        yield "/video", "is missing: a video resource gives the camera's code, longitude and latitude"
    if entry.kind is not ResourceKind.VIDEO and entry.video is not None:
        yield "/video", "belongs to the kind `video`; leave it out, or write kind `video`"
    if entry.kind is ResourceKind.VIDEO and entry.format_class not in (None, FormatClass.STREAM):
        yield "/format_class", f"is {entry.format_class}; a video resource is a STREAM"
