"""Problems of datasets."""

from dxmesh_schemas.problem import Gone, NotFound


class DatasetNotFound(NotFound):
    """No dataset, version or file of that name."""

    slug, title = "dataset-not-found", "There is no such dataset"


class DatasetRetired(Gone):
    """The dataset is open no longer, or this version of it is kept no longer."""

    slug, title = "dataset-retired", "The dataset is open no longer"
