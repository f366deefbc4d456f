"""The actions, each as a function of its parameters; their names and answers are CKAN's."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from sqlalchemy.ext.asyncio import AsyncSession

from dxmesh_tabular.store import ObjectStore
from open_data_svc.ckan import datastore, domain, packages
from open_data_svc.ckan.domain import Parameters
from open_data_svc.ckan.errors import ActionNotFound, ValidationError
from open_data_svc.dataset import search, store
from open_data_svc.dataset.domain import API, Format, Search
from open_data_svc.dataset.settings import PortalSettings

_FORMS: Mapping[str, Literal["objects", "lists", "csv", "tsv"]] = {"objects": "objects", "lists": "lists", "csv": "csv", "tsv": "tsv"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an action: its transaction, what it may read, its parameters and the portal's address."""

    tx: AsyncSession
    objects: ObjectStore
    portal: PortalSettings
    site: str
    given: Parameters


async def package_list(call: Call) -> list[str]:
    """Return the names of all open datasets (limit, offset)."""
    limit = call.given.number("limit", -1, most=domain.MAX_OFFSET)
    offset = call.given.number("offset", 0, most=domain.MAX_OFFSET)
    call.given.check()
    return list(await search.list_names(call.tx, offset=offset, limit=None if limit < 0 else limit))


async def package_show(call: Call) -> dict[str, Any]:
    """Return one dataset by its name or id (id)."""
    dataset = await _dataset(call, "id", "name_or_id")
    files = await store.list_latest_files(call.tx, [dataset])
    return packages.package(dataset, files[dataset.dataset_id], call.portal, call.site)


async def package_search(call: Call) -> dict[str, Any]:
    """Search datasets (q, fq, fq_list, rows, start, sort, facet, facet.field, facet.limit)."""
    given = call.given
    rows = given.number("rows", 10, most=domain.MAX_ROWS)
    start = given.number("start", 0, most=domain.MAX_OFFSET)
    sort = given.text("sort") or "score desc, metadata_modified desc"
    facets = given.texts("facet.field") if given.flag("facet", default=True) else []
    facet_limit = given.number("facet.limit", 50, most=1_000)
    q = given.text("q")
    filters = given.texts("fq_list") + ([" ".join(fq)] if isinstance(fq := given.values.get("fq"), list) else [given.text("fq")])
    given.check()
    asked = domain.parse_query("" if q.strip() in ("*:*", "*") else q, strict=False)
    narrowed = [domain.parse_query(domain.safe(text), strict=True) for text in filters if text.strip() != "*:*"]
    wanted = Search(
        words=[word for query in (asked, *narrowed) for word in query.words],
        fields=[one for query in (asked, *narrowed) for one in query.fields],
        order=domain.parse_order(sort),
        offset=start,
        limit=rows,
    )
    found = await search.find(call.tx, wanted, licence_id=call.portal.licence_id, facets=facets, facet_limit=facet_limit)
    files = await store.list_latest_files(call.tx, found.datasets)
    return {
        "count": found.total,
        "sort": sort,
        "results": [packages.package(one, files[one.dataset_id], call.portal, call.site) for one in found.datasets],
        "facets": {name: {value: count for value, _, count in values} for name, values in found.facets.items()},
        "search_facets": {
            name: {"title": name, "items": [{"name": value, "display_name": label, "count": count} for value, label, count in values]}
            for name, values in found.facets.items()
        },
    }


async def datastore_search(call: Call) -> dict[str, Any]:
    """Return rows of a dataset (resource_id, q, filters, fields, sort, limit, offset, distinct, include_total, records_format)."""
    given = call.given
    dataset = await _dataset(call, "resource_id", "id")
    form = given.text("records_format") or "objects"
    if form not in _FORMS:
        given.wrong("records_format", f"Must be one of {', '.join(_FORMS)}")
    limit = given.number("limit", 100, most=domain.MAX_RECORDS)
    offset = given.number("offset", 0, most=domain.MAX_OFFSET)
    chosen = given.texts("fields")
    count = given.flag("include_total", default=True)
    distinct = given.flag("distinct", default=False)
    filters, words, order = given.mapping("filters"), given.words("q"), given.text("sort")
    known = [datastore.ID, *dataset.open_codes]
    for column in chosen:
        if column not in known:
            given.wrong("fields", f'field "{column}" not in table')
    given.check()
    columns = list(dict.fromkeys(chosen)) or known
    query = datastore.RowQuery(filters, words, columns, domain.parse_row_order(order, known), offset, limit, distinct)
    file = await store.get_file(call.tx, dataset, dataset.version, Format.PARQUET)
    rows = await asyncio.to_thread(datastore.read, call.objects, file.object_key, query, known_total=dataset.row_count, count=count)
    encoded = await asyncio.to_thread(datastore.records, rows.frame, form)
    await store.count_use(call.tx, dataset.dataset_id, API)
    given_back = {name: value for name, value in given.values.items() if name not in ("offset", "limit")}
    result: dict[str, Any] = {
        "resource_id": str(given.values.get("resource_id") or given.values.get("id")),
        "fields": datastore.fields_of(dataset.items, columns),
        "records_format": form,
        "records": encoded,
        "limit": limit,
        "offset": offset,
        "include_total": count,
        "total_was_estimated": False,
        "_links": {"start": _link(given_back, 0, limit), "next": _link(given_back, offset + limit, limit)},
    }
    if rows.total is not None:
        result["total"] = rows.total
    return result | {name: value for name, value in (("filters", filters), ("q", words), ("sort", order)) if value}


async def organization_list(call: Call) -> list[str]:
    """Return the names of the publishers that have open datasets."""
    call.given.check()
    found = await search.find(call.tx, Search(limit=0), facets=["organization"], facet_limit=domain.MAX_ROWS)
    return sorted(value for value, _, _ in found.facets["organization"])


async def tag_list(call: Call) -> list[str]:
    """Return the themes of open datasets."""
    found = await search.find(call.tx, Search(limit=0), facets=["tags"], facet_limit=domain.MAX_ROWS)
    return sorted(value for value, _, _ in found.facets["tags"])


async def site_read(call: Call) -> bool:  # noqa: ARG001
    """Say that the site may be read."""
    return True


async def status_show(call: Call) -> dict[str, Any]:
    """Describe the site."""
    return {
        "site_title": call.portal.title,
        "site_description": call.portal.title_en,
        "site_url": call.site,
        "ckan_version": "2.11",  # the version whose Action API is spoken
        "error_emails_to": None,
        "locale_default": "zh_Hans_CN",
        "extensions": ["datastore"],
    }


async def help_show(call: Call) -> str:
    """Return what an action does (name)."""
    action = ACTIONS.get(call.given.text("name"))
    if action is None:
        raise ActionNotFound("Action name not found")
    return action.__doc__ or ""


async def _dataset(call: Call, *names: str) -> store.Dataset:
    """Return the open dataset a parameter names. Raises: ValidationError (409), ActionNotFound (404)."""
    given = next((call.given.text(name) for name in names if call.given.values.get(name)), "")
    if not given:
        call.given.check()
        raise ValidationError({names[0]: ["Missing value"]})
    dataset = None
    if names[0] == "resource_id" and (identity := store.as_uuid(given)) is not None:
        dataset = await store.find_of_distribution(call.tx, identity)
    if dataset is None:
        dataset = await store.find_by_name(call.tx, given)
    if dataset is None or not dataset.is_open:
        raise ActionNotFound(f"Not found: {'Resource' if names[0] == 'resource_id' else 'Dataset'} was not found.")
    return dataset


def _link(given: Mapping[str, Any], offset: int, limit: int) -> str:
    plain = {name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for name, value in given.items()}
    paging = {"offset": offset, "limit": limit} if offset else {"limit": limit}
    return "/api/3/action/datastore_search?" + urlencode({**plain, **paging}, errors="replace")


ACTIONS: dict[str, Callable[[Call], Awaitable[Any]]] = {
    action.__name__: action
    for action in (
        package_list,
        package_show,
        package_search,
        datastore_search,
        organization_list,
        tag_list,
        site_read,
        status_show,
        help_show,
    )
}
