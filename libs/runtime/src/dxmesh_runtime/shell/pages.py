"""Rendering: a service's templates over the shell's, the filters both use, and the static files."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
from markupsafe import Markup

from dxmesh_runtime.shell import access, description

_HERE = Path(__file__).parent
_CHINA = timezone(timedelta(hours=8))  # one zone all year, so no zone database is needed
_TWO_TONGUES = re.compile(r"(\S*[\u4e00-\u9fff]\S*) ([A-Za-z].*)")
_UNITS = ("B", "KB", "MB", "GB", "TB")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def number(value: float | None) -> str:
    """Format a number with thousands separators; None is a dash."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")


def percent(ratio: float | None, digits: int = 1) -> str:
    """Format a ratio (0 to 1) as a percentage; None is a dash."""
    return "–" if ratio is None else f"{ratio * 100:.{digits}f} %"


def size(byte_count: int | None) -> str:
    """Format a size in bytes with decimal units."""
    if byte_count is None:
        return "–"
    value, unit = float(byte_count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{byte_count} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def when(moment: datetime | None, form: str = "%Y-%m-%d %H:%M:%S") -> Markup:
    """Show a time on China's clock as a `<time>` element; None is a dash."""
    if moment is None:
        return Markup("–")
    return Markup('<time datetime="{}">{}</time>').format(moment.astimezone(UTC).isoformat(), moment.astimezone(_CHINA).strftime(form))


def short(value: object, length: int = 8) -> Markup:
    """Show the end of an id, as the front of a version 7 UUID is its time; the whole stands in the title."""
    text = str(value)
    return Markup('<abbr class="mono nowrap" title="{}">{}</abbr>').format(text, text if len(text) <= length else f"…{text[-length:]}")


def tongues(text: str) -> str | Markup:
    """Mark the English after the Chinese of a label like "批次 Batch", so that it is set smaller and read out as English."""
    found = _TWO_TONGUES.fullmatch(text)
    return Markup('{} <span class="en" lang="en">{}</span>').format(*found.groups()) if found else text


def bar_widths(values: Sequence[float], whole: float = 1000, least: float = 5) -> list[float]:
    """Share a bar's width among values; what is above zero keeps a width the eye can see."""
    total = sum(values)
    if not total:
        return [0.0 for _ in values]
    shown = [max(least, whole * value / total) if value else 0.0 for value in values]
    return [width * whole / sum(shown) for width in shown]


def spark_points(values: Sequence[float], width: float = 160, height: float = 36) -> str:
    """Return the `points` of an SVG polyline that fills width × height with the values, oldest first."""
    if not values:
        return ""
    low, high = min(0.0, *values), max(*values, 0.0) or 1.0
    step = width / max(len(values) - 1, 1)
    scaled = [height - 2 - (value - low) / ((high - low) or 1.0) * (height - 4) for value in values]
    if len(scaled) == 1:
        scaled *= 2
        step = width
    return " ".join(f"{index * step:.1f},{y:.1f}" for index, y in enumerate(scaled))


@dataclass(frozen=True)
class Renderer:
    """The templates of one service over the shell's."""

    environment: Environment
    service: str

    def page(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        refresh_seconds: int = 5,
        headers: dict[str, str] | None = None,
        **context: Any,
    ) -> HTMLResponse:
        """Render a page; `refresh_seconds` 0 leaves it as it is, else its `<main>` is fetched again and replaced that often.

        Raises: jinja2.UndefinedError for a name the context lacks.
        """
        settings = getattr(request.state, "settings", None)
        text = self.environment.get_template(template).render(
            request=request,
            service=self.service,
            links=settings.dashboard.links if settings is not None else {},
            refresh_seconds=refresh_seconds,
            signed_in=access.COOKIE in request.cookies,
            now=datetime.now(UTC),
            **context,
        )
        return HTMLResponse(text, status_code=status, headers={"Cache-Control": "no-store", **SECURITY_HEADERS, **(headers or {})})


def renderer(package: str | None = None, *, service: str | None = None) -> Renderer:
    """Return the renderer of a service: its package's `templates/` first, then the shell's; autoescape on, undefined names raise."""
    own = [PackageLoader(package)] if package else []
    environment = Environment(
        loader=ChoiceLoader([*own, FileSystemLoader(_HERE / "templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, percent=percent, size=size, when=when, short=short, tongues=tongues)
    environment.globals.update(spark_points=spark_points, bar_widths=bar_widths)
    return Renderer(environment, service or (package or "dxmesh").replace("_", "-"))


def mount(app: FastAPI) -> None:
    """Serve the shell's static files, favicon, API page, its description and the sign-in page; a page asked for without access leads there.

    The API page is Swagger UI served from here: FastAPI's own loads it from a public network, which a government network cannot reach.
    """
    app.mount("/static", StaticFiles(directory=_HERE / "static", packages=[("fastapi_offline", "static")]), name="static")
    description.mount(app)
    pages = renderer(service=app.title)

    @app.get("/docs", include_in_schema=False)
    async def api_page(request: Request) -> HTMLResponse:
        return pages.page(request, "shell/api.html", refresh_seconds=0, openapi_url=description.URL)

    @app.get("/favicon.ico", include_in_schema=False)
    async def favicon() -> FileResponse:
        return FileResponse(
            _HERE / "static" / "favicon.svg", media_type="image/svg+xml", headers={"Cache-Control": "public, max-age=86400"}
        )

    access.install(app, pages.page)
