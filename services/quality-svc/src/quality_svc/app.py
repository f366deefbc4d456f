"""What is wired for HTTP."""

from fastapi import FastAPI

from dxmesh_runtime import app
from quality_svc import dashboard
from quality_svc.assessment import routes as assessments
from quality_svc.rule import routes as rules
from quality_svc.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """Return the service's HTTP side."""
    routers = [assessments.router, rules.router, dashboard.router]
    return app.build(settings, name="quality-svc", title="quality-svc", routers=routers)
