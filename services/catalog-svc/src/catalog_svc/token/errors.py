"""Refusals of the token endpoint, in the form of RFC 6749 section 5.2."""

from typing import ClassVar


class TokenRefused(Exception):
    """A token request that is not granted; `error` is the code of RFC 6749 section 5.2."""

    status: ClassVar[int] = 400
    error: ClassVar[str] = "invalid_request"

    def __init__(self, description: str) -> None:
        super().__init__(description)
        self.description = description


class InvalidRequest(TokenRefused):
    """A parameter is missing, doubled or unreadable."""


class InvalidClient(TokenRefused):
    """The client is unknown, revoked, or gave a wrong secret: all three are answered alike."""

    status, error = 401, "invalid_client"


class UnsupportedGrantType(TokenRefused):
    """Only client_credentials is granted here."""

    error = "unsupported_grant_type"


class InvalidScope(TokenRefused):
    """The client asked for a role it does not have."""

    error = "invalid_scope"
