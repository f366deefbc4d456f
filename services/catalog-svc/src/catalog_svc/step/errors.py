"""The problems of a draft's way into force."""

from dxmesh_schemas.problem import Invalid


class ApprovalInvalid(Invalid):
    """The assessments do not admit an approval; `errors` says which and why."""

    slug, title = "approval-invalid", "The resource cannot be approved on these assessments"


class ReturnInvalid(Invalid):
    """A fault points at no field of the entry; `errors` says which."""

    slug, title = "return-invalid", "The notice of faults is not valid"


class NoticeTooShort(Invalid):
    """A breaking change is announced for at least the days the policy asks for."""

    slug, title = "notice-too-short", "The notice is too short"
