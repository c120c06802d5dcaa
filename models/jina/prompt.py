"""The prompts of jina-reranker-v3 and v3.5, as text between special token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.llama.client import LlamaServer, LlamaServerError, Segments

# The model was trained on these exact words; any change changes the scores.
_SYSTEM = (
    "system\n"
    "You are a search relevance expert who can determine a ranking of the passages based on how "
    "relevant they are to the query. If the query is a question, how relevant a passage is "
    "depends on how well it answers the question. If not, try to analyze the intent of the query "
    "and assess how well each passage satisfies the intent. If an instruction is provided, you "
    "should follow the instruction when determining the ranking."
)


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of the special tokens of the prompt."""

    im_start: int
    im_end: int
    embed: int
    rerank: int

    @classmethod
    async def of(cls, server: LlamaServer) -> SpecialTokens:
        """Look the ids up in the model.

        Raises `LlamaServerError` if it lacks one, or reads one out of plain text, which would let
        a document forge it.
        """
        texts = ("<|im_start|>", "<|im_end|>", "<|embed_token|>", "<|rerank_token|>")
        ids = [await server.special_token(text) for text in texts]
        forged = set(ids) & set((await server.tokenize(texts)).tolist())
        if forged:
            raise LlamaServerError(f"the GGUF reads special tokens {forged} out of plain text")
        return cls(*ids)


def opening(tokens: SpecialTokens) -> Segments:
    """What every prompt starts with."""
    return [tokens.im_start, _SYSTEM]


def prompt_segments(
    tokens: SpecialTokens,
    query: str,
    documents: Sequence[str],
    instruction: str | None = None,
    marks_twice: bool = False,
) -> Segments:
    """One block's prompt up to its last rerank token, as a mixed array for `/tokenize`.

    Text between two special tokens stays one string, since BPE merges across its parts. What the
    reference sends after the rerank token is left out: no earlier position of a causal model
    can see it. A model that `marks_twice` has that token after the query in front, too.
    """
    text = (
        f"user\nI will provide you with {len(documents)} passages, each indicated by a numerical "
        f"identifier. Rank the passages based on their relevance to query: {query}"
    )
    segments = [*opening(tokens), tokens.im_end, "\n", tokens.im_start]
    if marks_twice:
        segments += [text, tokens.rerank]
        text = ""
    text += "\n"
    if instruction:
        text += f"<instruct>\n{instruction}\n</instruct>\n"
    for i, document in enumerate(documents):
        segments += [f'{text}<passage id="{i}">\n{document}', tokens.embed]
        text = "\n</passage>\n"
    return [*segments, f"{text}<query>\n{query}", tokens.rerank]
