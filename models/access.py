"""What to do about files that this process may not use."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def require_writable(folder: Path) -> None:
    """Make `folder` if it is missing. Raises `OSError` if nothing can be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        number = errno.EROFS if read_only else errno.EACCES
        raise OSError(number, os.strerror(number), str(folder))


def explain(error: Exception) -> str:
    """The error, with what to do where access is denied."""
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    path = Path(error.filename)
    if error.errno == errno.EROFS:
        return f"{path} is on a file system that is mounted read-only; mount it to be written"
    if error.errno not in (errno.EACCES, errno.EPERM):
        return str(error)
    user, owned = os.geteuid(), _nearest(path)
    return (
        f"{path} cannot be written, or read, by user {user}; as root: chown -R {user} {owned} "
        "(in a container: the host's folder that is mounted there)"
    )


def _nearest(path: Path) -> Path:
    """`path` if it is a folder, else the first one above it that can be seen."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if os.path.isdir(folder))
