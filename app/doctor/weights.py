"""The weights: a GGUF and the projector that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.doctor.finding import Finding, ok, problem, skipped
from app.doctor.plan import Plan
from app.suggestion import did_you_mean
from models.families import family_of
from models.jina.projector import Projector, ProjectorError
from models.llama.gguf import GGUFError, read_header
from models.llama.head import Head
from models.llama.windows import Windows


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
    windows: Windows | None = None

    @classmethod
    def read(cls, path: Path) -> Transformer:
        """Raises `GGUFError` if the file is not whole or no such model, `OSError` if unreadable."""
        header = read_header(path)
        # A head that contradicts itself would be found by the service only.
        head = Head.read(path)
        hidden_size = header.number("embedding_length")
        heads = header.number("attention.head_count")
        # An encoder has a key and a value for each head, so its file need not say.
        encodes = header.metadata.get("general.architecture") == "bert"
        key_heads, size = (heads, hidden_size // heads) if encodes else (None, None)
        return cls(
            file_size=path.stat().st_size,
            has_readout_head=head is not None,
            layers=header.number("block_count"),
            hidden_size=hidden_size,
            vocabulary=header.vocabulary,
            heads=heads,
            key_heads=header.number("attention.head_count_kv", key_heads),
            key_size=header.number("attention.key_length", size),
            value_size=header.number("attention.value_length", size),
            context=header.number("context_length"),
            windows=Windows.of(path),
        )


def check_gguf(plan: Plan) -> tuple[Finding, Transformer | None]:
    """Whether the GGUF is there and whole, and what it holds."""
    subject = "GGUF"
    if plan.gguf is None and plan.settings.llama_server_url:
        return skipped(subject, "that of the llama-server at LLAMA_SERVER_URL"), None
    if plan.gguf is None:
        file = f"*{plan.settings.quant or ''}.gguf"
        return _not_downloaded(subject, plan, file), None
    if not plan.gguf.exists():
        return _not_there(subject, plan.gguf, "RERANKER_GGUF"), None
    try:
        transformer = Transformer.read(plan.gguf)
    except (GGUFError, OSError) as error:
        return _broken(subject, plan, plan.gguf, error), None
    size = f"{transformer.file_size / 1e6:,.1f} MB"
    shape = f"{transformer.layers} layers, hidden size {transformer.hidden_size:,}"
    return ok(subject, f"{plan.gguf}, {size}, {shape}"), transformer


def check_projector(plan: Plan, hidden_size: int | None) -> Finding:
    """Whether the projector loads, is finite and takes hidden states of `hidden_size`."""
    subject = "projector"
    _, card = family_of(plan.settings.model)
    if not card.projector:
        return skipped(subject, f"{card.name} has none")
    path = plan.settings.projector_path
    if not path.exists():
        if plan.settings.projector:
            return _not_there(subject, path, "RERANKER_PROJECTOR")
        return _not_downloaded(subject, plan, path.name)
    try:
        projector = Projector.load(path)
    except ProjectorError as error:
        return _broken(subject, plan, path, error)
    if hidden_size and projector.hidden_size != hidden_size:
        return problem(
            subject,
            f"{path} takes hidden states of size {projector.hidden_size:,}, the GGUF has size "
            f"{hidden_size:,}",
            "use GGUF and projector of one model; see RERANKER_GGUF and RERANKER_PROJECTOR",
        )
    shape = f"{projector.hidden_size:,} to {projector.output_size:,}"
    return ok(subject, f"{path}, {shape}, all values finite")


def _not_there(subject: str, path: Path, setting: str) -> Finding:
    return problem(subject, f"{path} does not exist{did_you_mean(path)}", f"correct {setting}")


def _not_downloaded(subject: str, plan: Plan, file: str) -> Finding:
    detail = f"weights/{plan.settings.model}/{file} is missing"
    if plan.settings.download and plan.running in (None, plan.settings.model):
        return skipped(subject, f"{detail}; start.sh downloads it")
    return _wrong(subject, plan, detail, f"run: {plan.download_command}")


def _broken(subject: str, plan: Plan, path: Path, error: Exception) -> Finding:
    advice = f"delete {path} and run: {plan.download_command}"
    return _wrong(subject, plan, str(error), advice)


def _wrong(subject: str, plan: Plan, detail: str, advice: str) -> Finding:
    """A problem, unless the running service serves another model."""
    if plan.running not in (None, plan.settings.model):
        told = f"{detail}; the running service serves {plan.running} and does not need it"
        return skipped(subject, told)
    return problem(subject, detail, advice)
