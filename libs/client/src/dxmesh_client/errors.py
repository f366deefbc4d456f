"""What can go wrong for a client, each with the exit code the command line ends with."""

from typing import Any, ClassVar

_SHOWN_FAULTS = 10  # of one problem; all are in `problem["errors"]`


class ClientError(Exception):
    """Anything the caller should be told in one line."""

    exit_code: ClassVar[int] = 1


class NotConfigured(ClientError):
    """There is no node to speak to."""

    exit_code = 2


class Unreachable(ClientError):
    """A service did not answer, or answered that it is away, for as long as was waited."""

    exit_code = 3


class NotVerified(ClientError):
    """A receipt, acknowledgement or edition does not hold."""

    exit_code = 4


class BatchRejected(ClientError):
    """The batch was taken in and refused by its resource's rules."""

    exit_code = 5


class ProblemAnswer(ClientError):
    """A service answered with a problem (RFC 9457)."""

    def __init__(self, problem: dict[str, Any]) -> None:
        self.problem = problem
        self.status: int = problem.get("status", 0)
        self.slug: str = str(problem.get("type", "")).rsplit("/", 1)[-1]
        text = f"{problem.get('title', 'The request failed')} ({self.status} {self.slug}): {problem.get('detail', '')}"
        faults = [f"{error.get('pointer', '')}: {error['detail']}" for error in problem.get("errors", []) if error["detail"] not in text]
        more = [f"and {len(faults) - _SHOWN_FAULTS} more"] if len(faults) > _SHOWN_FAULTS else []
        super().__init__("; ".join([text, *faults[:_SHOWN_FAULTS], *more]))
