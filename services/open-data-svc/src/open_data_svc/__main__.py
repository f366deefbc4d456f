"""`python -m open_data_svc api|worker|all|migrate|replay`."""

from dxmesh_runtime.cli import ServiceSpec, main
from open_data_svc.app import create_app
from open_data_svc.settings import Settings
from open_data_svc.worker import NAME, replay, run

if __name__ == "__main__":
    main(ServiceSpec(name=NAME, package="open_data_svc", settings=Settings, create_app=create_app, run_worker=run, replay=replay))
