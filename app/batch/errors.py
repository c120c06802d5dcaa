"""What ends a job, and what fails one of its entries."""

from __future__ import annotations


class BatchError(Exception):
    """The job cannot go on until the user puts something right; the message says what."""


class ServiceUnavailable(Exception):
    """The service gave no answer for as long as the job has patience."""


class BadEntry(Exception):
    """One entry cannot be answered; the message says why, and the job goes on."""
