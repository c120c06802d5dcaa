"""Compute the golden scores with transformers, independently of the service's own code.

Needs torch and transformers, see requirements-torch.txt.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from torch.nn.functional import cosine_similarity, relu
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, Qwen3Model

from tests.golden import yes_no
from tests.golden.cases import CASES, WINDOWED, Case
from toolkit import tiny_model

PATH = Path(__file__).with_name("scores.json")
WINDOWED_PATH = Path(__file__).with_name("windowed.json")
VECTORS_PATH = Path(__file__).with_name("vectors.json")
YES_NO_PATH = Path(__file__).with_name("yes_no.json")

# Before and after each special token of the template; a request's text may spell them, too.
_MARK = "\0"
# In that of v3.5 the query in front is marked, too.
_QUERY_LINE = "relevance to query: {query}\n"
_MARKED_QUERY_LINE = f"relevance to query: {{query}}{_MARK}<|rerank_token|>{_MARK}\n"

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

TEMPLATE = re.sub(r"<\|\w+\|>", rf"{_MARK}\g<0>{_MARK}", TEMPLATE)
_EMBED = f"{_MARK}<|embed_token|>{_MARK}"

YES_NO_BEFORE = """<|im_start|>system
Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>
<|im_start|>user
"""  # noqa: E501
YES_NO_TEXT = "<Instruct>: {instruction}\n<Query>: {query}\n<Document>:"
YES_NO_AFTER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
YES_NO_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"


class Reference:
    """The published algorithm over a transformers model in float32.

    A model with windows has the prompt of v3.5.
    """

    def __init__(self, tiny: tiny_model.TinyModel) -> None:
        windowed = tiny.config.use_sliding_window
        line = _MARKED_QUERY_LINE if windowed else _QUERY_LINE
        self.template = TEMPLATE.replace(_QUERY_LINE, line)
        shape = vars(tiny.config)
        config = Qwen3Config(vocab_size=tiny.tokenizer.get_vocab_size(), **shape)
        config._attn_implementation = "eager"
        self.model = Qwen3Model(config).eval()
        state = {n.removeprefix("model."): torch.from_numpy(t) for n, t in tiny.tensors.items()}
        self.model.load_state_dict(state, strict=True)
        assert tiny.projector
        self.first, self.second = (torch.from_numpy(matrix) for matrix in tiny.projector)
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_object=tiny.tokenizer)

    def truncate(self, text: str, limit: int) -> str:
        return truncate(self.tokenizer, text, limit)

    @torch.no_grad()
    def block(self, query: str, documents: list[str], instruction: str | None) -> torch.Tensor:
        """Projected vectors: one row for each document, then the query's."""
        passages = [
            f'<passage id="{i}">\n{text}{_EMBED}\n</passage>' for i, text in enumerate(documents)
        ]
        prompt = self.template.format(
            count=len(documents),
            query=query,
            instruct=f"<instruct>\n{instruction}\n</instruct>\n" if instruction else "",
            passages="\n".join(passages),
        )
        ids = torch.tensor([self.ids(prompt)])
        hidden = self.model(ids).last_hidden_state[0]
        embed, rerank = self.tokenizer.convert_tokens_to_ids(
            ["<|embed_token|>", "<|rerank_token|>"]
        )
        rows = torch.cat([hidden[ids[0] == embed], hidden[ids[0] == rerank][-1:]])
        return relu(rows @ self.first.T) @ self.second.T

    def ids(self, prompt: str) -> list[int]:
        """Those of the prompt, special tokens only where the template has them."""
        ids = []
        for i, part in enumerate(prompt.split(_MARK)):
            if i % 2:
                ids.append(self.tokenizer.convert_tokens_to_ids(part))
            else:
                ids += self.tokenizer(part, split_special_tokens=True)["input_ids"]
        return ids

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


class YesNoReference:
    """The published algorithm of Qwen3-Reranker over a transformers model in float32.

    Special tokens in a request's text stay text, which the published code does not see to.
    """

    def __init__(self, tiny: tiny_model.TinyModel) -> None:
        size = tiny.tokenizer.get_vocab_size()
        config = Qwen3Config(vocab_size=size, tie_word_embeddings=True, **vars(tiny.config))
        config._attn_implementation = "eager"
        self.model = Qwen3ForCausalLM(config).eval()
        state = {name: torch.from_numpy(tensor) for name, tensor in tiny.tensors.items()}
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
        self.model.load_state_dict(state, strict=True)
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_object=tiny.tokenizer)

    @torch.no_grad()
    def scores(self, case: yes_no.Case) -> list[float]:
        query = truncate(self.tokenizer, case.query, 512)
        instruction = case.instruction or YES_NO_INSTRUCTION
        text = YES_NO_TEXT.format(instruction=instruction, query=query)
        no, yes = self.tokenizer.convert_tokens_to_ids(["no", "yes"])
        before, after = self.tokenizer([YES_NO_BEFORE, YES_NO_AFTER])["input_ids"]
        most = len(self.text_ids(text)) + yes_no.DOCUMENT_TOKENS
        scores = []
        for document in case.documents:
            ids = [*before, *self.text_ids(f"{text} {document}")[:most], *after]
            logits = self.model(torch.tensor([ids])).logits[0, -1, [no, yes]]
            scores.append(logits.log_softmax(0)[1].exp().item())
        return scores

    def text_ids(self, text: str) -> list[int]:
        return self.tokenizer(text, split_special_tokens=True)["input_ids"]


def truncate(tokenizer: PreTrainedTokenizerFast, text: str, limit: int) -> str:
    ids = tokenizer(text, truncation=True, max_length=limit)["input_ids"]
    return tokenizer.decode(ids) if len(ids) >= limit else text


if __name__ == "__main__":
    reference = Reference(tiny_model.make())
    golden = {name: reference.scores(case) for name, case in CASES.items()}
    PATH.write_text(json.dumps(golden, indent=1) + "\n")
    windowed = Reference(tiny_model.make(tiny_model.WINDOWED))
    scores = {name: windowed.scores(CASES[name]) for name in WINDOWED}
    WINDOWED_PATH.write_text(json.dumps(scores, indent=1) + "\n")
    korean = CASES["korean"]
    vectors = reference.block(korean.query, korean.documents, None)[:-1]
    VECTORS_PATH.write_text(json.dumps({"korean": vectors.tolist()}, indent=1) + "\n")
    judge = YesNoReference(tiny_model.make_yes_no())
    answers = {name: judge.scores(case) for name, case in yes_no.CASES.items()}
    YES_NO_PATH.write_text(json.dumps(answers, indent=1) + "\n")
    print(f"wrote the scores of {len(golden)} and {len(answers)} requests")
