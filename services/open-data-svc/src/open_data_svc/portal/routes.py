"""HTTP in: the portal's pages, and its numbers as JSON."""

import asyncio
from functools import lru_cache
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import polars as pl
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from dxmesh_runtime import shell
from dxmesh_runtime.db import Tx
from dxmesh_schemas.catalog import DataType
from dxmesh_tabular.store import ObjectStore
from open_data_svc.ckan.routes import site_of
from open_data_svc.dataset import domain, files, search, store
from open_data_svc.dataset.domain import Format, Order, Search
from open_data_svc.portal import words as texts

router = APIRouter(tags=["portal"])
_pages = shell.renderer("open_data_svc", service="open-data-svc")
_PAGE_ROWS = 20
_PREVIEW_ROWS = 10
_MAX_PREVIEW_CHARS = 200
_VERSIONS_SHOWN = 10
_ORDERS: dict[str, Order] = {"newest": "newest", "rows": "rows", "title": "title"}


class NumbersOut(BaseModel):
    """How much is open now, and how often it was used."""

    datasets: int
    apis: int
    items: int
    rows: int
    downloads: int
    queries: int


def _page(request: Request, template: str, lang: texts.Language, *, status: int = 200, **context: Any) -> HTMLResponse:
    """Render a page; the language stays in links only where the address chose it."""
    chosen = {"lang": lang} if "lang" in request.query_params else {}

    def link(path: str, **query: Any) -> str:
        given = {name: value for name, value in query.items() if value} | chosen  # undefined is false
        return path + (f"?{urlencode(given)}" if given else "")

    other: texts.Language = "en" if lang == "zh" else "zh"
    query = {name: value for name, value in request.query_params.items() if name != "lang"} | {"lang": other}
    return _pages.page(
        request,
        template,
        status=status,
        refresh_seconds=0,
        headers={"Vary": "Accept-Language", "Cache-Control": "no-cache"},
        lang=lang,
        w=texts.WORDS[lang],
        cycles=texts.CYCLES[lang],
        portal=request.state.portal,
        link=link,
        other_language=f"{request.url.path}?{urlencode(query)}",
        **context,
    )


Lang = Annotated[str | None, Query(description="zh or en", max_length=20)]


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
async def home(
    request: Request,
    tx: Tx,
    q: Annotated[str, Query(max_length=200)] = "",
    publisher: Annotated[str, Query(max_length=100)] = "",
    theme: Annotated[str, Query(max_length=100)] = "",
    sort: Literal["newest", "rows", "title"] = "newest",
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
    lang: Lang = None,
) -> HTMLResponse:
    """Show the datasets, searched and filtered."""
    q, publisher, theme = (" ".join(text.replace("\0", " ").split()) for text in (q, publisher, theme))
    fields = [(name, (value,), True) for name, value in (("organization", publisher), ("tags", theme)) if value]
    wanted = Search(q.split()[:10], fields, _ORDERS[sort], (page - 1) * _PAGE_ROWS, _PAGE_ROWS)
    found = await search.find(tx, wanted)
    everywhere = await search.find(tx, Search(wanted.words, limit=0), facets=["organization", "tags"], facet_limit=30)
    return _page(
        request,
        "portal/home.html",
        texts.language(lang, request.headers.get("accept-language")),
        q=q,
        publisher=publisher,
        theme=theme,
        sort=sort,
        page=page,
        page_count=max(1, -(-found.total // _PAGE_ROWS)),
        found=found,
        facets=everywhere.facets,
        totals=await search.totals(tx),
    )


@router.get("/datasets", include_in_schema=False, response_class=HTMLResponse)
async def list_page(request: Request, tx: Tx, lang: Lang = None) -> HTMLResponse:
    """Show the same list as the front page."""
    return await home(request, tx, lang=lang)


@router.get("/datasets/{name}", response_class=HTMLResponse, include_in_schema=False)
async def dataset_page(request: Request, name: str, tx: Tx, lang: Lang = None) -> HTMLResponse:
    """Show one dataset: what it is, its items, a preview, its files and versions."""
    language = texts.language(lang, request.headers.get("accept-language"))
    dataset = await store.find_by_name(tx, name) if domain.is_name(name) else None
    if dataset is None or dataset.name != name:
        return _page(request, "portal/missing.html", language, status=404, retired=None)
    if not dataset.is_open:
        return _page(request, "portal/missing.html", language, status=410, retired=dataset)
    versions = await store.list_versions(tx, dataset.dataset_id, limit=_VERSIONS_SHOWN)
    kept = await store.list_files(tx, dataset.dataset_id, [row.version for row in versions])
    uses = (await store.uses_of(tx, [dataset.dataset_id]))[dataset.dataset_id]
    newest = {file.format: file for file in kept if file.version == dataset.version}
    codes = tuple(item["code"] for item in dataset.items)
    preview: list[tuple[str, ...]] = []
    if (parquet := newest.get(Format.PARQUET)) is not None:
        preview = await asyncio.to_thread(_preview, request.state.objects, parquet.object_key, codes)
    site = site_of(request)
    return _page(
        request,
        "portal/dataset.html",
        language,
        dataset=dataset,
        files=[newest[form] for form in Format if form in newest],
        uses=uses,
        versions=versions,
        withheld={row.version for row in versions if domain.is_withheld(row.items, dataset.open_codes)},
        preview=preview,
        type_words={kind.value: pair[0 if language == "zh" else 1] for kind, pair in domain.TYPE_WORDS.items()},
        site=site,
        resource_id=domain.distribution_id(dataset.dataset_id, Format.CSV.value),
        json_ld=_json_ld(dataset, list(newest.values()), request, site),
    )


@router.get("/v1/statistics", response_model=NumbersOut)
async def statistics(tx: Tx) -> search.Totals:
    """Return the numbers of the platform: datasets, APIs, items and rows open now; downloads and queries ever made."""
    return await search.totals(tx)


@lru_cache(maxsize=256)
def _preview(objects: ObjectStore, key: str, codes: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the first rows as texts; an object never changes, so they are read once."""
    frame = files.rows(objects, key).select(codes).head(_PREVIEW_ROWS).collect()
    shown = frame.select(
        pl.col(name).dt.convert_time_zone("Asia/Shanghai").dt.strftime("%Y-%m-%d %H:%M:%S") if isinstance(kind, pl.Datetime) else name
        for name, kind in frame.schema.items()
    )
    text = shown.select(pl.all().cast(pl.String).fill_null("").str.slice(0, _MAX_PREVIEW_CHARS))
    return [tuple(row) for row in text.rows()]


def _json_ld(dataset: store.Dataset, files: list[store.DatasetFile], request: Request, site: str) -> dict[str, Any]:
    """Describe a dataset for search engines (schema.org Dataset)."""
    return {
        "@context": "https://schema.org/",
        "@type": "Dataset",
        "name": dataset.title,
        "description": dataset.summary or dataset.title,
        "url": f"{site}/datasets/{dataset.name}",
        "identifier": str(dataset.dataset_id),
        "version": str(dataset.version),
        "license": request.state.portal.licence_url,
        "isAccessibleForFree": True,
        "creator": {"@type": "GovernmentOrganization", "name": dataset.publisher},
        "keywords": [dataset.theme] if dataset.theme else [],
        "datePublished": dataset.first_published_at.isoformat(),
        "dateModified": dataset.refreshed_at.isoformat(),
        "variableMeasured": [
            {
                "@type": "PropertyValue",
                "name": item["code"],
                "description": item["name"],
                "valueReference": DataType(item["data_type"]).value,
            }
            for item in dataset.items
        ],
        "distribution": [
            {
                "@type": "DataDownload",
                "encodingFormat": Format(file.format).media_type.partition(";")[0],
                "contentUrl": f"{site}/datasets/{dataset.name}/v{file.version}/{dataset.name}.{file.format}",
                "contentSize": f"{file.byte_count} B",
                "sha256": file.sha256,
            }
            for file in files
        ],
    }
