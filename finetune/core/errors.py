"""The one error family. Verbs raise these; core.drf turns them into JSON, core.middleware into pages."""

import errno


class DomainError(Exception):
    """A refusal in words for the person who asked.

    `message` says what is wrong and what to do, `code` is a stable name for programs, `fields` maps field → messages.
    """

    status = 400
    default_code = "invalid"

    def __init__(self, message: str, *, code: str = "", fields: dict[str, list[str]] | None = None, retry_after: int | None = None):
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.fields = fields or {}
        self.retry_after = retry_after  # seconds


class Invalid(DomainError):
    """The input can't be accepted: 400."""


class Forbidden(DomainError):
    """Known, but not allowed (a gated model, say): 403."""

    status = 403
    default_code = "forbidden"


class Conflict(DomainError):
    """Right request, wrong state: 409."""

    status = 409
    default_code = "conflict"


class TooLarge(DomainError):
    """More bytes than MAX_UPLOAD_BYTES: 413."""

    status = 413
    default_code = "too_large"


class Unavailable(DomainError):
    """An outside system or a worker does not answer; trying again later may help: 503."""

    status = 503
    default_code = "unavailable"


class DiskFull(DomainError):
    """The server has no room for what was sent: 507."""

    status = 507
    default_code = "disk_full"


def refusal_in(error: Exception) -> DomainError | None:
    """What an exception says to the person who asked; None for one that says nothing to them."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull("The server's disk is full. Nothing was kept; try again when its operator has made room.")
    return error if isinstance(error, DomainError) else None


def invalid_field(field: str, message: str, *, code: str = "") -> Invalid:
    """An Invalid about exactly one field."""
    return Invalid(message, code=code, fields={field: [message]})
