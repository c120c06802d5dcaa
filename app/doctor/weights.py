"""The weights: a GGUF and the projector that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.commands.documents import suggestion
from app.doctor.finding import Finding, ok, problem, skipped
from app.doctor.plan import Plan
from models.gguf_header import GGUFError, GGUFHeader, read_header
from models.prepare import HEAD_KEY
from models.projector import Projector, ProjectorError


@dataclass(frozen=True)
class Transformer:
    """The shape of a transformer, out of the header of its GGUF; sizes in elements."""

    file_size: int
    has_readout_head: bool
    layers: int
    hidden_size: int
    vocabulary: int
    heads: int
    key_heads: int
    key_size: int
    value_size: int
    context: int

    @classmethod
    def read(cls, path: Path) -> Transformer:
        """Raises `GGUFError` if the file is not whole or no such model, `OSError` if unreadable."""
        header = read_header(path)
        size = path.stat().st_size
        if size < header.file_size:
            raise GGUFError(
                f"{path.name} is cut off: {size:,} bytes of at least {header.file_size:,}"
            )
        try:
            return cls._of_header(header)
        except KeyError as error:
            raise GGUFError(f"{path.name} has no {error}: is it a jina-reranker-v3?") from error

    @classmethod
    def _of_header(cls, header: GGUFHeader) -> Transformer:
        def value(name: str) -> int:
            return int(header.metadata[f"{header.metadata['general.architecture']}.{name}"])

        return cls(
            file_size=header.file_size,
            has_readout_head=HEAD_KEY in header.metadata,
            layers=value("block_count"),
            hidden_size=value("embedding_length"),
            vocabulary=header.tensors["token_embd.weight"].shape[1],
            heads=value("attention.head_count"),
            key_heads=value("attention.head_count_kv"),
            key_size=value("attention.key_length"),
            value_size=value("attention.value_length"),
            context=value("context_length"),
        )


def check_gguf(plan: Plan) -> tuple[Finding, Transformer | None]:
    """Whether the GGUF is there and whole, and what it holds."""
    subject = "GGUF"
    if plan.gguf is None and plan.llama_server_url:
        return skipped(subject, "that of the llama-server at LLAMA_SERVER_URL"), None
    if plan.gguf is None or not plan.gguf.exists():
        return _missing(subject, plan, plan.gguf, "RERANKER_GGUF"), None
    try:
        transformer = Transformer.read(plan.gguf)
    except (GGUFError, OSError) as error:
        return problem(subject, str(error), _replace(plan, plan.gguf)), None
    shape = f"{transformer.layers} layers, hidden size {transformer.hidden_size:,}"
    return ok(subject, f"{plan.gguf}, {_gigabytes(transformer.file_size)}, {shape}"), transformer


def check_projector(plan: Plan, hidden_size: int | None) -> Finding:
    """Whether the projector loads, is finite and takes hidden states of `hidden_size`."""
    subject = "projector"
    if not plan.projector.exists():
        return _missing(subject, plan, plan.projector, "RERANKER_PROJECTOR")
    try:
        projector = Projector.load(plan.projector)
    except ProjectorError as error:
        return problem(subject, str(error), _replace(plan, plan.projector))
    if hidden_size and projector.hidden_size != hidden_size:
        return problem(
            subject,
            f"{plan.projector.name} takes hidden states of size {projector.hidden_size:,}, the "
            f"GGUF has size {hidden_size:,}",
            "use the GGUF and the projector of one model: RERANKER_GGUF, RERANKER_PROJECTOR",
        )
    shape = f"{projector.hidden_size:,} to {projector.output_size:,}"
    return ok(subject, f"{plan.projector}, {shape}, all values finite")


def _missing(subject: str, plan: Plan, path: Path | None, setting: str) -> Finding:
    if path and getattr(plan.settings, setting.removeprefix("RERANKER_").lower()):
        return problem(
            subject, f"{path} does not exist{suggestion(path)}", f"set {setting} to a file"
        )
    if plan.download:
        return skipped(subject, "missing; start.sh downloads it")
    where = path or f"weights/{plan.settings.model}"
    return problem(subject, f"{where} is missing", f"run: {plan.download_command}")


def _replace(plan: Plan, path: Path) -> str:
    return f"delete {path} and run: {plan.download_command}"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
