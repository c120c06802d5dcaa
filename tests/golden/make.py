"""Compute the golden scores with transformers, independently of the service's own code.

Needs torch and transformers, see requirements-torch.txt.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch.nn.functional import cosine_similarity, relu
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

from tests.golden.cases import CASES, Case
from toolkit import tiny_model

PATH = Path(__file__).with_name("scores.json")
VECTORS_PATH = Path(__file__).with_name("vectors.json")

TEMPLATE = """<|im_start|>system
You are a search relevance expert who can determine a ranking of the passages based on how relevant they are to the query. If the query is a question, how relevant a passage is depends on how well it answers the question. If not, try to analyze the intent of the query and assess how well each passage satisfies the intent. If an instruction is provided, you should follow the instruction when determining the ranking.<|im_end|>
<|im_start|>user
I will provide you with {count} passages, each indicated by a numerical identifier. Rank the passages based on their relevance to query: {query}
{instruct}{passages}
<query>
{query}<|rerank_token|>
</query><|im_end|>
<|im_start|>assistant
<think>

</think>

"""  # noqa: E501


class Reference:
    """The published algorithm over a transformers model in float32."""

    def __init__(self, tiny: tiny_model.TinyModel) -> None:
        shape = vars(tiny.config)
        config = Qwen3Config(vocab_size=tiny.tokenizer.get_vocab_size(), **shape)
        config._attn_implementation = "eager"
        self.model = Qwen3Model(config).eval()
        state = {n.removeprefix("model."): torch.from_numpy(t) for n, t in tiny.tensors.items()}
        self.model.load_state_dict(state, strict=True)
        self.first, self.second = (torch.from_numpy(matrix) for matrix in tiny.projector)
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_object=tiny.tokenizer)

    def truncate(self, text: str, limit: int) -> str:
        ids = self.tokenizer(text, truncation=True, max_length=limit)["input_ids"]
        return self.tokenizer.decode(ids) if len(ids) >= limit else text

    @torch.no_grad()
    def block(self, query: str, documents: list[str], instruction: str | None) -> torch.Tensor:
        """Projected vectors: one row for each document, then the query's."""
        passages = [
            f'<passage id="{i}">\n{text}<|embed_token|>\n</passage>'
            for i, text in enumerate(documents)
        ]
        prompt = TEMPLATE.format(
            count=len(documents),
            query=query,
            instruct=f"<instruct>\n{instruction}\n</instruct>\n" if instruction else "",
            passages="\n".join(passages),
        )
        ids = self.tokenizer(prompt, return_tensors="pt")["input_ids"]
        hidden = self.model(ids).last_hidden_state[0]
        embed, rerank = self.tokenizer.convert_tokens_to_ids(
            ["<|embed_token|>", "<|rerank_token|>"]
        )
        rows = torch.cat([hidden[ids[0] == embed], hidden[ids[0] == rerank]])
        return relu(rows @ self.first.T) @ self.second.T

    def scores(self, case: Case) -> list[float]:
        query = self.truncate(case.query, 512)
        documents = [self.truncate(text, 2048) for text in case.documents]
        vectors, queries, weights = [], [], []
        for size in case.blocks:
            block = self.block(query, documents[:size], case.instruction)
            documents = documents[size:]
            scores = cosine_similarity(block[:-1], block[-1:])
            vectors.append(block[:-1])
            queries.append(block[-1])
            weights.append(((1 + scores) / 2).max())
        weight = torch.stack(weights)
        query_vector = (torch.stack(queries) * weight[:, None]).sum(0) / weight.sum()
        return cosine_similarity(torch.cat(vectors), query_vector[None]).tolist()


if __name__ == "__main__":
    reference = Reference(tiny_model.make())
    golden = {name: reference.scores(case) for name, case in CASES.items()}
    PATH.write_text(json.dumps(golden, indent=1) + "\n")
    korean = CASES["korean"]
    vectors = reference.block(korean.query, korean.documents, None)[:-1]
    VECTORS_PATH.write_text(json.dumps({"korean": vectors.tolist()}, indent=1) + "\n")
    print(f"wrote the scores of {len(golden)} requests to {PATH.name}")
