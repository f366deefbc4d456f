"""`python -m audit_svc api|worker|all|migrate|replay`."""

from audit_svc.app import create_app
from audit_svc.settings import Settings
from audit_svc.worker import replay, run
from dxmesh_runtime.cli import ServiceSpec, main

if __name__ == "__main__":
    main(ServiceSpec("audit-svc", "audit_svc", Settings, create_app, run, replay))
