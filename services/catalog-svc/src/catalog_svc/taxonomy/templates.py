"""Templates that come with the service: what an entry of each shipped base database may begin with; data/README.md names their sources."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from catalog_svc.taxonomy.errors import TemplateNotFound

CODES = (
    "base-population",
    "base-legal-entity",
    "base-geo",
    "base-credit",
    "base-e-licence",
    "base-real-estate",
    "base-social-security",
    "base-archives",
)
"""The base databases a template comes along for: those every node begins with."""


class Standard(BaseModel):
    """A published standard that a template goes by."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    number: str
    title: str
    gives: str = Field(description="what the template takes from it")


class Template(BaseModel):
    """What a resource of a base database may begin with, for its steward to complete and change."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    standards: tuple[Standard, ...]
    entry: dict[str, Any] = Field(description="a resource's entry without its system and steward; goes into POST /v1/resources with them")

    @property
    def code_sets(self) -> tuple[str, ...]:
        """Return the shipped code sets its items refer to, which are put in force first."""
        return tuple(item["code_set"]["name"] for item in self.entry["items"] if "code_set" in item)


@cache
def get(code: str) -> Template:
    """Return the template of a base database by its code. Raises: TemplateNotFound (404)."""
    if code not in CODES:
        raise TemplateNotFound(f"no template comes along for {code}; there are some for {', '.join(CODES)}")
    text = files("catalog_svc.taxonomy").joinpath("data", f"{code}.json").read_text(encoding="utf-8")
    return Template.model_validate(json.loads(text))
