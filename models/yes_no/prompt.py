"""The prompt of a reranker that answers yes or no, as text between special token ids."""

from __future__ import annotations

from dataclasses import dataclass

from models.llama.client import LlamaServer, LlamaServerError, Segments

# The model was trained on these exact words; any change changes the scores.
_SYSTEM = (
    "system\n"
    "Judge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".'
)
# Of listwise rerankers, which are Qwen3 too and have every other token of the prompt.
_MARKER = "<|rerank_token|>"
INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of the special tokens of the prompt."""

    im_start: int
    im_end: int
    think: int
    end_think: int

    @classmethod
    async def of(cls, server: LlamaServer) -> SpecialTokens:
        """Look the ids up in the model.

        Raises `LlamaServerError` if it lacks one, has one of another kind of reranker, or reads one
        that ends a turn out of plain text, which would let a document end its own.
        """
        if await server.has_special_token(_MARKER):
            raise LlamaServerError(
                f"the GGUF has {_MARKER}: it reads all documents in one prompt and says neither "
                "yes nor no; name its model in RERANKER_MODEL"
            )
        turns = ("<|im_start|>", "<|im_end|>")
        ids = [await server.special_token(text) for text in (*turns, "<think>", "</think>")]
        forged = set(ids[:2]) & set((await server.tokenize(turns)).tolist())
        if forged:
            raise LlamaServerError(f"the GGUF reads special tokens {forged} out of plain text")
        return cls(*ids)


def opening(tokens: SpecialTokens) -> Segments:
    """What every prompt starts with."""
    return [tokens.im_start, _SYSTEM]


def before_document(tokens: SpecialTokens, query: str, instruction: str) -> Segments:
    """The prompt up to a document, which all documents of a request share.

    The space before a document belongs to the document: words have theirs in front of them, and
    nothing merges across the colon.
    """
    text = f"user\n<Instruct>: {instruction}\n<Query>: {query}\n<Document>:"
    return [*opening(tokens), tokens.im_end, "\n", tokens.im_start, text]


def document_text(document: str) -> str:
    """A document as it stands in the prompt."""
    return f" {document}"


def after_document(tokens: SpecialTokens) -> Segments:
    """The rest of the prompt, after which the model says yes or no."""
    answer: Segments = [
        tokens.im_start,
        "assistant\n",
        tokens.think,
        "\n\n",
        tokens.end_think,
        "\n\n",
    ]
    return [tokens.im_end, "\n", *answer]
