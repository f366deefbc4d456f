"""The problems of checkpoints."""

from dxmesh_schemas.problem import Unavailable


class NoCheckpointYet(Unavailable):
    """The log has not signed its first checkpoint: its worker has not started."""

    slug, title = "no-checkpoint-yet", "The log has not signed a checkpoint yet"
