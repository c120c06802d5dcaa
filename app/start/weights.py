"""The weights of a start: found, downloaded if that is wanted, prepared."""

from __future__ import annotations

from pathlib import Path

from app.settings import Settings
from models.access import explain
from models.facts import find_llama_server
from models.files import find_gguf


class WeightsError(Exception):
    """The weights cannot be had; the message says what to do."""


def find(settings: Settings) -> Path | None:
    """The GGUF of the settings, or of the model's folder; None if there is none."""
    gguf = settings.gguf or find_gguf(Path("weights", settings.model), settings.quant or "")
    return gguf.absolute() if gguf and gguf.is_file() else None


def fetch(settings: Settings) -> Path | None:
    """The GGUF to serve, downloaded and prepared where need be; None: that of LLAMA_SERVER_URL.

    Raises `WeightsError`.
    """
    _check_name(settings)
    gguf = find(settings)
    if _missing(settings, gguf) or (settings.download and _is_damaged(settings)):
        if not settings.download:
            raise WeightsError(_advice(settings))
        _download(settings)
        gguf = find(settings)
        if _missing(settings, gguf):
            raise WeightsError(_advice(settings))
    if gguf:
        _check(settings, gguf)
    if gguf and not settings.llama_server_url:
        gguf = _prepared(settings, gguf)
    if settings.calibration or settings.scores == "calibrated":
        _check_calibration(settings, gguf)
    return gguf


def _check_name(settings: Settings) -> None:
    from models.families import check_name
    from models.rerank import ConfigurationError

    try:
        check_name(settings.model)
    except ConfigurationError as error:
        raise WeightsError(str(error)) from error


def _check(settings: Settings, gguf: Path) -> None:
    # Imported here: it takes long, and what is missing is told without.
    from models.families import check_file
    from models.llama.gguf import GGUFError
    from models.rerank import ConfigurationError

    try:
        check_file(settings.model, gguf)
    except (ConfigurationError, GGUFError, OSError) as error:
        raise WeightsError(str(error)) from error


def _check_calibration(settings: Settings, gguf: Path | None) -> None:
    from app.calibration import NotCalibrated, calibration_of

    calibration = calibration_of(gguf, settings.calibration_path)
    if isinstance(calibration, NotCalibrated):
        raise WeightsError(f"no calibrated scores: {calibration}")


def _missing(settings: Settings, gguf: Path | None) -> bool:
    there = _projector(settings) is None or settings.projector_path.is_file()
    return not there or not (gguf or settings.llama_server_url)


def _projector(settings: Settings) -> Path | None:
    """The projector's file, None where the model has none."""
    from models.families import family_of

    _, card = family_of(settings.model)
    return settings.projector_path if card.projector else None


def _is_damaged(settings: Settings) -> bool:
    """Whether files of a model that can be downloaded are there and not whole."""
    from models.download import is_present
    from models.families import CARDS

    ours = settings.model not in CARDS or settings.gguf or settings.projector
    return not ours and not is_present(settings.model, settings.quant or "")


def _advice(settings: Settings) -> str:
    folder = f"weights/{settings.model}"
    gguf = settings.gguf or f"{folder}/*{settings.quant or ''}.gguf"
    quant = f" --quant {settings.quant}" if settings.quant else ""
    wanted = " or ".join(str(path) for path in (gguf, _projector(settings)) if path)
    return (
        f"no weights: {wanted} is missing. Get them with:\n"
        f"  python -m models.download {settings.model}{quant}"
    )


def _download(settings: Settings) -> None:
    # Imported here: it takes long, and most starts do without.
    from models.download import DEFAULT_QUANT, DownloadError, download
    from models.families import CARDS

    if settings.model not in CARDS:
        known = ", ".join(CARDS)
        raise WeightsError(f"{_advice(settings)}\nThere are downloads of {known} only.")
    try:
        download(settings.model, settings.quant or DEFAULT_QUANT)
    except (DownloadError, OSError) as error:
        raise WeightsError(f"the weights could not be downloaded: {explain(error)}") from error


def _prepared(settings: Settings, gguf: Path) -> Path:
    from models.families import family_of
    from models.llama.gguf import GGUFError
    from models.prepare import PrepareError

    family, card = family_of(settings.model)
    llama_server = find_llama_server(settings.llama_server_bin)
    try:
        return family.prepared(card, gguf, settings.readout, llama_server)
    except (GGUFError, PrepareError, OSError) as error:
        raise WeightsError(
            f"the GGUF could not be prepared for the prefix readout: {explain(error)}\n"
            "RERANKER_READOUT=embedding does without, but for a model whose layers have windows"
        ) from error
