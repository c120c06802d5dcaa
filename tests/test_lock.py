"""The locks have what the requirements ask for, on every platform; what is installed is theirs.

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

NAMES = ["requirements", "requirements-otlp"]


def lock(name: str) -> str:
    return (ROOT / f"{name}.lock").read_text().replace("\\\n", "")


def requirements(name: str) -> str:
    """Those of the file, and of the files that it includes."""
    lines = (ROOT / f"{name}.txt").read_text().splitlines(keepends=True)
    included = [line.split()[1].removesuffix(".txt") for line in lines if line.startswith("-r ")]
    own = [line for line in lines if not line.startswith("-r ")]
    return "".join([*map(requirements, included), *own])


def versions(text: str, **platform: str) -> dict[str, str]:
    """Name and version of each package that is installed on `platform`."""
    lines = [line.split(" --hash")[0] for line in text.splitlines() if not line.startswith("#")]
    requirements = [Requirement(line) for line in lines]
    return {
        requirement.name.replace("_", "-"): str(requirement.specifier)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(platform)
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_lock_has_the_versions_of_the_requirements(name: str, python: str, machine: str) -> None:
    platform = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": machine,
        "sys_platform": "linux",
    }
    locked = versions(lock(name), **platform)

    wanted = versions(requirements(name), **platform)

    assert {name: locked.get(name) for name in wanted} == wanted


@pytest.mark.parametrize("name", NAMES)
def test_every_package_has_hashes(name: str) -> None:
    packages = [line for line in lock(name).splitlines() if not line.startswith("#")]

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
    locked = versions(lock("requirements"), **here)

    assert {package: f"=={version(package)}" for package in locked} == locked


@pytest.mark.parametrize("name", ["README.md", "Dockerfile", "Makefile"])
def test_every_way_installs_the_lock_by_hash(name: str) -> None:
    text = (ROOT / name).read_text()

    assert re.search(r"--require-hashes -r (requirements\.lock|\"\$\{REQUIREMENTS\}\")", text)
    assert "-r requirements.txt" not in text
