"""`python -m catalog_svc api|worker|all|migrate|replay`."""

from catalog_svc.app import create_app
from catalog_svc.settings import Settings
from catalog_svc.worker import replay, run
from dxmesh_runtime.cli import ServiceSpec, main

if __name__ == "__main__":
    main(ServiceSpec(name="catalog-svc", package="catalog_svc", settings=Settings, create_app=create_app, run_worker=run, replay=replay))
