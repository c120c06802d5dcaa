"""The settings that a model is opened with."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Wishes(Protocol):
    """What the user set; those who have a default always have a value."""

    @property
    def model(self) -> str:
        """Name of the model."""

    @property
    def readout(self) -> str:
        """How hidden states are read: prefix or embedding."""

    @property
    def gguf(self) -> Path | None:
        """The GGUF that llama-server serves; None where only llama-server knows it."""

    @property
    def projector_path(self) -> Path:
        """The file of the projector."""

    @property
    def server_url(self) -> str:
        """Where llama-server answers."""

    @property
    def llama_server_api_key(self) -> str:
        """The key that llama-server wants, empty if none."""

    @property
    def timeout_seconds(self) -> float:
        """Longest that one call may take."""

    @property
    def max_query_tokens(self) -> int:
        """A query is cut to this."""

    @property
    def max_document_tokens(self) -> int:
        """A document is cut to this."""

    @property
    def max_length(self) -> int | None:
        """Tokens of the longest query and document together; None: the model's own."""

    @property
    def long_documents(self) -> str:
        """What becomes of longer ones, unless a task says: cut or split."""

    @property
    def max_passages(self) -> int:
        """Passages of one task, at most."""

    @property
    def llama_arg_cache_type_k(self) -> str:
        """How llama-server stores keys."""

    @property
    def llama_arg_cache_type_v(self) -> str:
        """How llama-server stores values."""
