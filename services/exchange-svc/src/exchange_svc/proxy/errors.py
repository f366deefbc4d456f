"""Problems of asking a department's interface."""

from dxmesh_schemas.problem import Conflict, Invalid, Problem, Unavailable


class NotProxied(Conflict):
    """The resource has no interface at its department that the data authority has confirmed."""

    slug, title = "not-proxied", "The resource has no confirmed interface"


class QuestionInvalid(Invalid):
    """The rows are asked for by something that the grant does not open."""

    slug, title = "proxy-question-invalid", "The rows cannot be asked for like this"


class DepartmentAway(Unavailable):
    """The department's interface cannot be reached, or says that it failed."""

    slug, title = "department-away", "The department does not answer"


class DepartmentSlow(Problem):
    """The department's interface did not answer in time."""

    status, slug, title = 504, "department-slow", "The department did not answer in time"


class AnswerUnfit(Problem):
    """What the department's interface answered are not rows of the resource; nothing of it is given out."""

    status, slug, title = 502, "answer-unfit", "The department's answer does not fit the resource"
