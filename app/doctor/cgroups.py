"""The memory limits of control groups, in which containers and systemd's units run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path


def free_in_cgroups(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still get from its groups; None if none has a limit."""
    return min(_free(root), default=None)


def _free(root: Path) -> Iterator[int]:
    """What is left in each group with a limit, from this process's own up to the topmost."""
    for group in _groups(root):
        # The files of version 2, then those of version 1.
        for limit_file, used_file, prefix in (
            ("memory.max", "memory.current", ""),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
        ):
            limit, used = _number(group / limit_file), _number(group / used_file)
            if limit is not None and used is not None:
                # The kernel gives pages of files back before it kills.
                yield max(0, limit - used + _pages_of_files(group, prefix))


def _groups(root: Path) -> Iterator[Path]:
    mounts = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        mount = mounts / "memory" if controllers else mounts
        own = mount / path.lstrip("/")
        # A container may see the name that its group has outside, but not that folder.
        yield from (group for group in (own, *own.parents) if group.is_relative_to(mount))


def _pages_of_files(group: Path, prefix: str) -> int:
    pattern = rf"^{prefix}(?:in)?active_file (\d+)$"
    return sum(map(int, re.findall(pattern, _text(group / "memory.stat"), re.MULTILINE)))


def _number(path: Path) -> int | None:
    """The number in a file; None where it is not there or says `max`."""
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
