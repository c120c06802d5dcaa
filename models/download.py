"""Download the weights of a model: `python -m models.download jina-reranker-v3`."""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import sys
from dataclasses import dataclass, replace
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
from huggingface_hub.file_download import get_hf_file_metadata, http_get
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from models.access import explain, require_writable
from models.ending import end_on_term
from models.families import CARDS
from models.files import find_gguf, is_quant
from models.jina.projector import Projector, ProjectorError
from models.llama.gguf import GGUFError, read_header
from models.llama.windows import CONFIG, Windows
from models.rerank import Card
from models.whole_file import UnfinishedFile, remove_unused, unfinished

DEFAULT_QUANT = "Q8_0"
PROJECTOR = "projector.safetensors"
WEIGHTS = Path("weights")

# The branch, where the hub tells no commit.
_NO_COMMIT = "main"
_SHA256 = re.compile("[0-9a-f]{64}")
_RANGE_NOT_SATISFIABLE = 416
# Digits of a hash in the name of a file that is not whole yet.
_DIGITS = 8
_CHUNK_BYTES = 2**20


class DownloadError(Exception):
    """The weights cannot be had; the message says what to do."""


class _WrongContentError(DownloadError):
    """What arrived is not the file."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository at a commit; size in bytes and SHA-256 where the hub tells them."""

    repository: str
    commit: str
    name: str
    size: int | None
    sha256: str | None

    @property
    def content_is_known(self) -> bool:
        """Whether what is left under `partial_name` can only be of the same content."""
        return bool(self.sha256) or self.commit != _NO_COMMIT

    @property
    def url(self) -> str:
        """Where it is fetched from."""
        return hf_hub_url(self.repository, self.name, revision=self.commit)

    @property
    def partial_name(self) -> str:
        """Name until it is whole; no two contents have the same."""
        return f"{self.name}.{(self.sha256 or self.commit)[:_DIGITS]}.part"


def download(model: str, quant: str, weights: Path = WEIGHTS) -> Path:
    """Fetch the files of `model` into `weights/<model>/`; returns that folder.

    Continues a download that was cut off and does nothing if all files are there and whole.
    Raises `DownloadError` or `OSError`.
    """
    folder, card = weights / model, CARDS[model]
    if is_present(model, quant, weights):
        return folder
    require_writable(folder)
    print(f"The weights of {model} are licensed under {card.licence}", flush=True)
    repository = card.repository
    try:
        _fetch(card, quant, folder)
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
    except (httpx2.HTTPError, httpx2.InvalidURL, OfflineModeIsEnabled) as error:
        raise DownloadError(
            "the hub cannot be reached: check the connection, HF_ENDPOINT and HF_HUB_OFFLINE, and "
            "run this again (what has arrived is kept), or copy "
            f"{' and '.join(['the GGUF', *_beside(card)])} into {folder} by hand"
        ) from error
    return folder


def is_present(model: str, quant: str, weights: Path = WEIGHTS) -> bool:
    """Whether a GGUF of `quant`, and what belongs to it, are there and whole."""
    folder = weights / model
    gguf = find_gguf(folder, quant)
    files = [gguf, *(folder / name for name in _beside(CARDS[model]))]
    return all(file is not None and _is_whole(file) for file in files)


def _beside(card: Card) -> list[str]:
    """The files that a model has beside its GGUF."""
    projector = [PROJECTOR] if card.projector else []
    return projector + ([CONFIG] if card.companions else [])


def _is_whole(path: Path) -> bool:
    """Whether the file is there and whole; says what is wrong with one that is there."""
    if not path.exists():
        return False
    try:
        _check_format(path, path.name)
    except (GGUFError, ProjectorError) as error:
        print(f"{error}; fetching it again", file=sys.stderr, flush=True)
        return False
    return True


def _check_format(path: Path, name: str) -> None:
    if name == PROJECTOR:
        Projector.load(path)
    elif name == CONFIG:
        Windows.of_config(path)
    else:
        read_header(path)


def _fetch(card: Card, quant: str, folder: Path) -> None:
    files = _list_files(card.repository)
    gguf = _find_gguf(files, quant)
    for repository in card.companions:
        files += _list_files(repository)
    wanted = [gguf, *(_find(files, name) for name in _beside(card))]
    missing = [_with_what_its_server_tells(f) for f in wanted if not _is_whole(folder / f.name)]
    for file in missing:
        _remove_leftovers(file, folder)
    _check_space(folder, missing)
    for file in missing:
        _fetch_one(file, folder)
    if card.companions:
        _check_together(folder, gguf.name)


def _check_together(folder: Path, gguf: str) -> None:
    """Raise `DownloadError` unless files of several repositories are of one model."""
    try:
        if Windows.of(folder / gguf) is None:
            raise GGUFError(f"neither {gguf} nor {CONFIG} tells of windows")
        hidden = read_header(folder / gguf).number("embedding_length")
    except GGUFError as error:
        raise DownloadError(f"the files of {folder} do not fit each other: {error}") from error
    taken = Projector.load(folder / PROJECTOR).hidden_size
    if taken != hidden:
        raise DownloadError(
            f"the files of {folder} do not fit each other: {gguf} has hidden states of size "
            f"{hidden:,}, {PROJECTOR} takes {taken:,}"
        )


def _list_files(repository: str) -> list[RemoteFile]:
    try:
        info = HfApi().model_info(repository, files_metadata=True)
        return [
            RemoteFile(
                repository,
                info.sha or _NO_COMMIT,
                file.rfilename,
                _size_or_unknown(file.size),
                _sha256_or_unknown(file.lfs.sha256 if file.lfs else None),
            )
            for file in info.siblings or []
            # No path: it could lead out of the folder.
            if "/" not in file.rfilename
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DownloadError(
            f"the answer for {repository} is not a hub's; check HF_ENDPOINT, or try again later"
        ) from error


def _size_or_unknown(size: object) -> int | None:
    # Mirrors say 0, or nothing, where they do not know.
    return size if isinstance(size, int) and size > 0 else None


def _sha256_or_unknown(digest: object) -> str | None:
    return digest if isinstance(digest, str) and _SHA256.fullmatch(digest) else None


def _with_what_its_server_tells(file: RemoteFile) -> RemoteFile:
    """The file with size and SHA-256 out of headers, where the list of files has none."""
    if file.size and file.sha256:
        return file
    try:
        told = get_hf_file_metadata(file.url)
    except HfHubHTTPError:
        return file
    return replace(
        file,
        size=file.size or _size_or_unknown(told.size),
        sha256=file.sha256 or _sha256_or_unknown(told.etag),
    )


def _fetch_one(file: RemoteFile, folder: Path) -> None:
    with unfinished(folder / file.partial_name, keep=True) as partial:
        # Another process may have fetched it while this one waited.
        if _is_whole(folder / file.name):
            partial.clear()
            return
        size = f"{file.size / 1e6:,.0f} MB" if file.size else "of unknown size"
        print(f"Downloading {file.name} ({size})", flush=True)
        if not file.content_is_known or (file.size and partial.size > file.size):
            partial.clear()
        continued = partial.size > 0
        try:
            _receive(file, partial)
        except _WrongContentError as error:
            if not continued:
                raise
            print(f"{error}; starting over", file=sys.stderr, flush=True)
            _receive(file, partial)
        partial.finish(folder / file.name)


def _receive(file: RemoteFile, partial: UnfinishedFile) -> None:
    """Receive what is missing of the file; if it then is not the file, keeps nothing."""
    try:
        if partial.size != file.size:
            # The library's own download forgets what it had when its process ends.
            http_get(file.url, partial.file, resume_size=partial.size, headers=build_hf_headers())
            partial.file.flush()
        _check(file, partial)
    except _WrongContentError:
        partial.clear()
        raise
    except HfHubHTTPError as error:
        if error.response.status_code != _RANGE_NOT_SATISFIABLE:
            raise
        partial.clear()
        raise _WrongContentError(f"{file.name} is shorter than what was kept of it") from error


def _check(file: RemoteFile, partial: UnfinishedFile) -> None:
    if file.size and partial.size != file.size:
        raise _WrongContentError(
            f"the hub announced {file.size:,} bytes of {file.name} and sent {partial.size:,}"
        )
    if file.sha256 and (digest := _sha256(partial)) != file.sha256:
        raise _WrongContentError(
            f"{file.name} is not what the hub announced: its SHA-256 is {digest}, not {file.sha256}"
        )
    try:
        _check_format(partial.path, file.name)
    except (GGUFError, ProjectorError) as error:
        raise _WrongContentError(f"the hub's {file.name} cannot be used: {error}") from error


def _sha256(partial: UnfinishedFile) -> str:
    digest = hashlib.sha256()
    with partial.path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _remove_leftovers(file: RemoteFile, folder: Path) -> None:
    """Delete what is left of other versions of the file."""
    name = re.compile(f"{re.escape(file.name)}\\.[0-9a-z]+\\.part")
    for path in folder.iterdir():
        if name.fullmatch(path.name) and path.name != file.partial_name:
            remove_unused(path)


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


def _find(files: list[RemoteFile], name: str) -> RemoteFile:
    for file in files:
        if file.name == name:
            return file
    raise DownloadError(f"{' and '.join(sorted({f.repository for f in files}))} have no {name}")


def _check_space(folder: Path, files: list[RemoteFile]) -> None:
    free = shutil.disk_usage(folder).free
    needed = 0
    for file in files:
        partial = folder / file.partial_name
        kept = partial.stat().st_size if partial.exists() else 0
        needed += max((file.size or 0) - kept, 0)
    if free < needed:
        raise DownloadError(
            f"{needed / 1e9:.2f} GB are needed in {folder} and {free / 1e9:.2f} GB are free"
        )


def main() -> None:
    """Command line of `download`."""
    parser = argparse.ArgumentParser(prog="python -m models.download", description=__doc__)
    parser.add_argument("model", choices=CARDS)
    parser.add_argument("--quant", default=DEFAULT_QUANT, help=f"such as Q4_K_M ({DEFAULT_QUANT})")
    arguments = parser.parse_args()
    end_on_term()
    try:
        folder = download(arguments.model, arguments.quant)
    except (DownloadError, OSError) as error:
        sys.exit(f"models.download: {explain(error)}")
    except KeyboardInterrupt:
        sys.exit("\nmodels.download: interrupted; run it again to continue")
    print(f"{arguments.model} is in {folder}")


if __name__ == "__main__":
    main()
