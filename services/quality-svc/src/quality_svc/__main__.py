"""`python -m quality_svc api|worker|all|migrate|replay`."""

from dxmesh_runtime.cli import ServiceSpec, main
from quality_svc.app import create_app
from quality_svc.settings import Settings
from quality_svc.worker import replay, run

if __name__ == "__main__":
    main(ServiceSpec(name="quality-svc", package="quality_svc", settings=Settings, create_app=create_app, run_worker=run, replay=replay))
