"""What is wired for HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from catalog_svc import dashboard
from catalog_svc.arbitration import routes as arbitrations
from catalog_svc.bulk import routes as bulk
from catalog_svc.census import routes as censuses
from catalog_svc.claim import routes as claims
from catalog_svc.code_draft import routes as code_drafts
from catalog_svc.code_set import routes as code_sets
from catalog_svc.credential import commands as credential_commands
from catalog_svc.credential import routes as credentials
from catalog_svc.credential.hashing import SecretChecks
from catalog_svc.duty import routes as duties
from catalog_svc.edition import routes as editions
from catalog_svc.finding import routes as searches
from catalog_svc.finding.watch import finding
from catalog_svc.form import routes as forms
from catalog_svc.lineage import routes as lineage
from catalog_svc.matching import routes as synonyms
from catalog_svc.mount import routes as mounts
from catalog_svc.mount import stale_routes as stale
from catalog_svc.officer import routes as officers
from catalog_svc.organization import routes as organizations
from catalog_svc.pages import sign_in
from catalog_svc.report import routes as reports
from catalog_svc.resource import routes as resources
from catalog_svc.resource.domain import scheme_named
from catalog_svc.sector import routes as sectors
from catalog_svc.settings import Settings
from catalog_svc.sharing_list import file_routes as list_files
from catalog_svc.sharing_list import routes as lists
from catalog_svc.step import routes as steps
from catalog_svc.step.domain import Policy
from catalog_svc.system import routes as systems
from catalog_svc.taxonomy import routes as taxonomies
from catalog_svc.token import issuer as token_issuer
from catalog_svc.token import routes as tokens
from dxmesh_runtime import app as http
from dxmesh_runtime import signing
from dxmesh_runtime.db import Database, utc_now

_ROUTERS = [organizations.router, credentials.router, systems.router, resources.router, steps.router, code_sets.router, dashboard.router]
_ROUTERS += [code_drafts.router]
_ROUTERS += [claims.router, arbitrations.router, forms.router, synonyms.router]
_ROUTERS += [officers.router, sectors.router, taxonomies.router, lineage.router]
_ROUTERS += [searches.router, bulk.router]
_ROUTERS += [duties.router, mounts.router, stale.router]  # the stale report has a form of its own, so it comes before the others

# files before entries: a list's `file` is no entry's id
_ROUTERS += [list_files.router, lists.router, editions.router, censuses.router, reports.router]


def create_app(settings: Settings) -> FastAPI:
    """Return the app; with a signing key it issues tokens and trusts its own, else it trusts the issuer of the settings.

    Raises: ValueError for a code scheme that is not there.
    """
    issuer = _issuer(settings)
    public_url = settings.public_url
    code_scheme = scheme_named(settings.resource.code_scheme)

    @asynccontextmanager
    async def state(database: Database) -> AsyncIterator[dict[str, Any]]:
        checks = SecretChecks()
        if settings.bootstrap is not None:
            async with database.sessions.begin() as tx:
                await credential_commands.ensure_bootstrap(
                    tx, checks, settings.bootstrap.client_id, settings.bootstrap.client_secret.get_secret_value(), now=utc_now()
                )
        async with finding(database) as finder:
            yield {
                "finder": finder,
                "secret_checks": checks,
                "issuer": issuer,
                "public_url": public_url,
                "deadlines": settings.policy.read(),
                "node_key": signing.load_key(settings.signing.key_file) if settings.signing is not None else None,
                "code_scheme": code_scheme,
                "idle_days": settings.report.idle_days,
                "publication_policy": Policy(notice_days=settings.resource.notice_days),
            }

    if issuer is not None:
        # its own keys are at hand: asking itself over HTTP would fail until it serves
        auth = settings.auth.model_copy(update={"jwks": json.dumps(issuer.key_set())})
        settings = settings.model_copy(update={"auth": auth})
    routers = [tokens.router, *_ROUTERS] if issuer is not None else _ROUTERS
    app = http.build(settings, name="catalog-svc", title="catalog-svc", routers=routers, state=state)
    sign_in.install(app)
    return app


def _issuer(settings: Settings) -> token_issuer.Issuer | None:
    if settings.signing is None:
        return None
    return token_issuer.make(
        signing.load_key(settings.signing.key_file),
        url=settings.auth.issuer,
        audience=settings.auth.audience,
        lifetime_seconds=settings.token.lifetime_seconds,
    )
