"""Writes what is generated from the code: docs/events.md, docs/problems.md, docs/openapi, and the golden schemas of events.

`make docs` runs it; tests/contract/test_generated.py fails while the files and the code disagree.
"""

import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from dxmesh_schemas.events import event_classes
from dxmesh_schemas.problem import Problem
from tests.contract.services import PACKAGES, openapi

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "libs" / "schemas" / "golden"
_HEAD = "<!-- generated from the code by `make docs`; do not edit -->\n\n"


def modules(package: str) -> Iterator[ModuleType]:
    """Yield every module of a package."""
    root = importlib.import_module(package)
    yield root
    for found in pkgutil.walk_packages(root.__path__, package + "."):
        if ".migrations" not in found.name and not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def problem_classes() -> list[type[Problem]]:
    """Return every problem of every package, by status and slug."""
    found: set[type[Problem]] = set()
    for package in ("dxmesh_schemas", "dxmesh_runtime", "dxmesh_tabular", "dxmesh_clocks", *PACKAGES):
        for module in modules(package):
            for _, kind in inspect.getmembers(module, inspect.isclass):
                if issubclass(kind, Problem):
                    found.add(kind)
    return sorted(found, key=lambda kind: (kind.status, kind.slug, kind.__module__))


def schema_text(kind: type) -> str:
    """Return an event's JSON Schema as it is kept."""
    return json.dumps(kind.model_json_schema(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"  # type: ignore[attr-defined]


def events_page() -> str:
    """Return docs/events.md."""
    lines = [
        _HEAD + "# Events\n",
        "Each event is a Kafka record in CloudEvents 1.0 binary mode: the metadata travels as `ce_*` headers, the payload is JSON.",
        "Fields are only added, and only as optional ones. The JSON Schemas are in `libs/schemas/golden/schemas`.\n",
        "| type | topic | key | emitter | what it says |",
        "|---|---|---|---|---|",
    ]
    for kind in event_classes():
        what = (inspect.getdoc(kind) or "").splitlines()[0]
        lines.append(f"| `{kind.TYPE}` | `{kind.TOPIC}` | `{kind.KEY}` | {kind.SOURCE.strip('/')} | {what} |")
    lines.append("\n## Fields\n")
    for kind in event_classes():
        lines.append(f"### {kind.__name__}\n\n`{kind.TYPE}`. {' '.join((inspect.getdoc(kind) or '').split())}\n")
        for name, field in kind.model_fields.items():
            mark = "" if field.is_required() else " (optional)"
            about = f": {field.description}" if field.description else ""
            lines.append(f"- `{name}`{mark}{about}")
        lines.append("")
    return "\n".join(lines)


def problems_page() -> str:
    """Return docs/problems.md."""
    lines = [
        _HEAD + "# Problems\n",
        "Every error answers with `application/problem+json` (RFC 9457): `type`, `title`, `status`, `detail`, `instance`, `trace_id`,",
        "and for wrong input `errors: [{pointer, detail}]`. `type` ends in the slug below.\n",
        "| status | slug | title | when |",
        "|---|---|---|---|",
    ]
    seen: set[tuple[int, str]] = set()
    for kind in problem_classes():
        if (kind.status, kind.slug) in seen:
            continue
        seen.add((kind.status, kind.slug))
        when = (inspect.getdoc(kind) or "").splitlines()[0]
        lines.append(f'| {kind.status} | <a id="{kind.slug}"></a>`{kind.slug}` | {kind.title} | {when} |')
    return "\n".join(lines) + "\n"


def files() -> dict[Path, str]:
    """Return every generated file and what it must hold."""
    found = {ROOT / "docs" / "events.md": events_page(), ROOT / "docs" / "problems.md": problems_page()}
    for package in PACKAGES:
        text = json.dumps(openapi(package), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
        found[ROOT / "docs" / "openapi" / f"{package.replace('_', '-')}.json"] = text
    return found


def main() -> None:
    """Write the files that differ, and the golden schema of events that have none."""
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    for kind in event_classes():
        path = GOLDEN / "schemas" / f"{kind.TYPE}.json"
        text = schema_text(kind)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}: look at the difference, only optional fields may be added")


if __name__ == "__main__":
    main()
