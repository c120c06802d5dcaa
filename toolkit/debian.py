"""Debian packages that some tests need and not every machine has."""

from __future__ import annotations

import shutil

import pytest

# The reason of such a test's skip, which the last line of a run counts.
_REASON = "not installed: "


def skip_without(package: str, is_there: bool) -> None:
    """Skip the test if `package` is not there."""
    if not is_there:
        pytest.skip(_REASON + package)


def chromium() -> str:
    """The browser; skips the test without."""
    path = shutil.which("chromium")
    skip_without("chromium", path is not None)
    return str(path)


def untested(skipped: list[pytest.TestReport]) -> str:
    """What was not tested for want of packages, in one line; empty if that is nothing."""
    reasons = [str(report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple)]
    missing = [reason.partition(_REASON)[2] for reason in reasons if _REASON in reason]
    if not missing:
        return ""
    packages = " ".join(sorted(set(missing)))
    return f"NOT TESTED: {len(missing)} tests; as root: apt-get install {packages}"
