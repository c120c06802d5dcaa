"""requirements.lock has what requirements.txt asks for, on every platform, and is installed.

Else run `make lock`, and remove .venv.
"""

from __future__ import annotations

import platform
import re
import sys
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement

from toolkit.running import ROOT

REQUIREMENTS = (ROOT / "requirements.txt").read_text()
LOCK = (ROOT / "requirements.lock").read_text().replace("\\\n", "")


def versions(text: str, **platform: str) -> dict[str, str]:
    """Name and version of each package that is installed on `platform`."""
    lines = [line.split(" --hash")[0] for line in text.splitlines() if not line.startswith("#")]
    requirements = [Requirement(line) for line in lines]
    return {
        requirement.name.replace("_", "-"): str(requirement.specifier)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(platform)
    }


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_lock_has_the_versions_of_the_requirements(python: str, machine: str) -> None:
    platform = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": machine,
        "sys_platform": "linux",
    }
    locked = versions(LOCK, **platform)

    wanted = versions(REQUIREMENTS, **platform)

    assert {name: locked.get(name) for name in wanted} == wanted


def test_every_package_has_hashes() -> None:
    packages = [line for line in LOCK.splitlines() if not line.startswith("#")]

    assert packages
    for package in packages:
        assert re.search(r" --hash=sha256:[0-9a-f]{64}", package)


def test_what_is_installed_is_what_was_locked() -> None:
    here = {
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "python_full_version": platform.python_version(),
        "platform_machine": platform.machine(),
        "sys_platform": sys.platform,
    }
    locked = versions(LOCK, **here)

    assert {name: f"=={version(name)}" for name in locked} == locked


@pytest.mark.parametrize("name", ["README.md", "Dockerfile", "Makefile"])
def test_every_way_installs_the_lock_by_hash(name: str) -> None:
    text = (ROOT / name).read_text()

    assert "--require-hashes -r requirements.lock" in text
    assert "-r requirements.txt" not in text
