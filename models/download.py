"""Download the weights of a model: `python -m models.download jina-reranker-v3`."""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

# The HTTP client inside huggingface_hub, which lets its errors pass.
import httpx2
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from models.files import find_gguf, is_quant

REPOSITORIES = {"jina-reranker-v3": "jinaai/jina-reranker-v3-GGUF"}
PROJECTOR = "projector.safetensors"
WEIGHTS = Path("weights")


class DownloadError(Exception):
    """The weights cannot be had; the message says what to do."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository at a commit, and its size in bytes."""

    repository: str
    commit: str
    name: str
    size: int


def download(model: str, quant: str, weights: Path = WEIGHTS) -> Path:
    """Fetch GGUF and projector of `model` into `weights/<model>/`; returns that folder.

    Continues a download that was cut off and does nothing if both files are there. Raises
    `DownloadError`.
    """
    folder = weights / model
    if _present(folder, quant):
        return folder
    repository = REPOSITORIES[model]
    try:
        files = _list_files(repository)
        wanted = [_find_gguf(files, quant), _find_projector(files)]
        missing = [file for file in wanted if not (folder / file.name).is_file()]
        _check_space(folder, missing)
        for file in missing:
            _fetch(file, folder)
    except GatedRepoError as error:
        raise DownloadError(
            f"access to {repository} must be granted: accept its licence on its page, "
            "then set HF_TOKEN to a token of that account"
        ) from error
    except RepositoryNotFoundError as error:
        raise DownloadError(
            f"{repository} is not there or needs a token: check HF_TOKEN"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        hint = "check HF_TOKEN" if status in (401, 403) else "try again later"
        raise DownloadError(f"the hub answered with status {status}: {hint}") from error
    except (httpx2.HTTPError, OfflineModeIsEnabled) as error:
        raise DownloadError(
            "the hub cannot be reached: check the connection, HF_ENDPOINT and HF_HUB_OFFLINE, and "
            "run this again (what has arrived is kept), or copy the GGUF and "
            f"{PROJECTOR} into {folder} by hand"
        ) from error
    return folder


def _present(folder: Path, quant: str) -> bool:
    return (folder / PROJECTOR).is_file() and find_gguf(folder, quant) is not None


def _list_files(repository: str) -> list[RemoteFile]:
    info = HfApi().model_info(repository, files_metadata=True)
    return [
        RemoteFile(repository, info.sha or "main", file.rfilename, file.size or 0)
        for file in info.siblings or []
        # No path: it could lead out of the folder.
        if "/" not in file.rfilename
    ]


def _fetch(file: RemoteFile, folder: Path) -> None:
    print(f"Downloading {file.name} ({file.size / 1e6:,.0f} MB)", flush=True)
    # The library's own download forgets what it had when its process ends; this continues it.
    partial = folder / f"{file.name}.{file.commit[:8]}.part"
    with partial.open("ab") as output:
        http_get(
            hf_hub_url(file.repository, file.name, revision=file.commit),
            output,
            resume_size=output.tell(),
            headers=build_hf_headers(),
            expected_size=file.size,
        )
    partial.rename(folder / file.name)


def _find_gguf(files: list[RemoteFile], quant: str) -> RemoteFile:
    for file in files:
        if is_quant(file.name, quant):
            return file
    quants = sorted(
        file.name.removesuffix(".gguf").rpartition("-")[2]
        for file in files
        if file.name.endswith(".gguf")
    )
    raise DownloadError(f"there is no quant {quant}; there are {', '.join(quants) or 'none'}")


def _find_projector(files: list[RemoteFile]) -> RemoteFile:
    for file in files:
        if file.name == PROJECTOR:
            return file
    raise DownloadError(f"the repository has no {PROJECTOR}")


def _check_space(folder: Path, files: list[RemoteFile]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    needed = sum(file.size for file in files)
    needed -= sum(partial.stat().st_size for partial in folder.glob("*.part"))
    if free < needed:
        raise DownloadError(
            f"{needed / 1e9:.2f} GB are needed in {folder} and {free / 1e9:.2f} GB are free"
        )


def main() -> None:
    """Command line of `download`."""
    parser = argparse.ArgumentParser(prog="python -m models.download", description=__doc__)
    parser.add_argument("model", choices=REPOSITORIES)
    parser.add_argument("--quant", default="Q8_0", help="quantization, such as Q4_K_M (Q8_0)")
    arguments = parser.parse_args()
    try:
        folder = download(arguments.model, arguments.quant)
    except (DownloadError, OSError) as error:
        sys.exit(f"models.download: {error}")
    except KeyboardInterrupt:
        sys.exit("\nmodels.download: interrupted; run it again to continue")
    print(f"{arguments.model} is in {folder}")


if __name__ == "__main__":
    main()
