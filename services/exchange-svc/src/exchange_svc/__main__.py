"""`python -m exchange_svc api|worker|all|migrate|replay|rebuild-table`."""

from dxmesh_runtime.cli import ServiceSpec, main
from exchange_svc.app import create_app
from exchange_svc.settings import Settings
from exchange_svc.worker import rebuild_table, replay, run

if __name__ == "__main__":
    main(
        ServiceSpec(
            name="exchange-svc",
            package="exchange_svc",
            settings=Settings,
            create_app=create_app,
            run_worker=run,
            replay=replay,
            tools={"rebuild-table": rebuild_table},
        )
    )
