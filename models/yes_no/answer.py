"""What is read of a state: by how much the model would rather say yes than no."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.llama.gguf import GGUFError, GGUFHeader, read_strings
from models.llama.head import HEAD, Floats, View
from models.llama.tensors import Tensors

CLASSIFIER = "cls.output.weight"
_EMBEDDINGS = "token_embd.weight"
_TOKENS = "tokenizer.ggml.tokens"
_WORDS = ("yes", "no")


def _yes_minus_no(path: Path) -> Floats:
    """The row of the logit of yes less that of no, float32 [1, hidden].

    Raises `GGUFError` if the GGUF has no such rows, or in a type that cannot be read.
    """
    tensors = Tensors(path)
    for tensor, key in _places(tensors.header):
        names = read_strings(path, key)
        if not set(_WORDS) <= set(names):
            continue
        at = np.array([names.index(word) for word in _WORDS])
        try:
            yes, no = tensors.rows(tensor, at)
        except (IndexError, NotImplementedError, ValueError) as error:
            raise GGUFError(f"{path.name}: {tensor} cannot be read: {error!r:.200}") from error
        row: Floats = (yes - no)[None]
        return row
    raise GGUFError(f"{path.name} has no rows that say yes and no: is it a reranker?")


def _places(header: GGUFHeader) -> Iterator[tuple[str, str]]:
    """Tensors that may hold the rows, each with the key of the names of its rows."""
    if CLASSIFIER in header.tensors:
        architecture = header.metadata.get("general.architecture")
        yield CLASSIFIER, f"{architecture}.classifier.output_labels"
    # A head that is not there is tied to the embeddings.
    yield HEAD if HEAD in header.tensors else _EMBEDDINGS, _TOKENS


YES_MINUS_NO = View("yes minus no", _yes_minus_no, replaces=True)
