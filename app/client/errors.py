"""What may be raised."""

from __future__ import annotations


class RerankerError(Exception):
    """No ranking could be had; the message says what to do.

    `status` is that of the answer, if there was one, and `retry_after` the seconds it asked for.
    """

    def __init__(
        self, message: str, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class TooLate(RerankerError):
    """The server had no time for this request; the next one may be answered."""


class SettingsError(RerankerError):
    """An argument of the client or a variable of the environment is wrong."""


class RequestError(RerankerError):
    """The request was not sent, since its values are wrong; `status` is 422, as if it had been."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 422)
