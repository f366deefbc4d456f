"""The problems of taxonomies."""

from dxmesh_schemas.problem import Conflict, Invalid, NotFound


class TaxonomyNotFound(NotFound):
    """No base database, domain warehouse or theme database has this id."""

    slug, title = "taxonomy-not-found", "There is no such entry of a taxonomy"


class TaxonomyInvalid(Invalid):
    """A rule of taxonomies is broken; `errors` says which and where."""

    slug, title = "taxonomy-invalid", "The entry of the taxonomy is not valid"


class TaxonomyCodeTaken(Conflict):
    """An entry has this code, a retired one too; `taxonomy_id` names it."""

    slug, title = "taxonomy-code-taken", "The code is taken"


class TaxonomyNameTaken(Conflict):
    """An entry of this kind has this name; `taxonomy_id` names it."""

    slug, title = "taxonomy-name-taken", "The name is taken"


class TaxonomyUsed(Conflict):
    """The entry is used, so it cannot go; `used_by` names what uses it."""

    slug, title = "taxonomy-used", "The entry of the taxonomy is used"


class TaxonomyRetired(Conflict):
    """The entry is retired and takes no change."""

    slug, title = "taxonomy-retired", "The entry of the taxonomy is retired"


class TemplateNotFound(NotFound):
    """No template comes along for this entry; `detail` names those there are."""

    slug, title = "template-not-found", "There is no template of this entry"
