"""Compute the golden scores of cross-encoders with transformers, independently of our own code.

Needs torch and transformers, see requirements-torch.txt.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification

from tests.golden.pairs import BEGINNING, IN_PARTS, PAIR_CASES, PairCase
from toolkit import tiny_encoder

PATH = Path(__file__).with_name("pairs.json")
# Half of what jina-reranker-v2 takes, as the tiny model is made for half as many tokens.
MAX_LENGTH, MAX_QUERY_LENGTH, OVERLAP = 512, 256, 80
BOS, PAD, EOS = 0, 1, 2


class Reference:
    """The published algorithms over a transformers model in float32."""

    def __init__(self, tiny: tiny_encoder.TinyEncoder) -> None:
        config = XLMRobertaConfig(
            vocab_size=tiny.tokenizer.get_vocab_size(),
            num_labels=1,
            pad_token_id=PAD,
            bos_token_id=BOS,
            eos_token_id=EOS,
            hidden_act="gelu",
            **vars(tiny.config),
        )
        config._attn_implementation = "eager"
        self.model = XLMRobertaForSequenceClassification(config).eval()
        state = {name: torch.from_numpy(tensor) for name, tensor in tiny.tensors.items()}
        missing, unexpected = self.model.load_state_dict(state, strict=False)
        assert not unexpected
        assert not missing, missing
        # Special tokens are of the model, never of a text: as pieces they get names no text has.
        content = json.loads(tiny.tokenizer.to_str())
        for i in range(len(tiny_encoder.SPECIAL_TOKENS)):
            content["model"]["vocab"][i][0] = chr(0xF0000 + i)
        self.tokenizer = Tokenizer.from_str(json.dumps(content))

    def ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    @torch.no_grad()
    def logit(self, query: list[int], document: list[int]) -> float:
        """`query` begins and ends with its special tokens."""
        ids = torch.tensor([[*query, EOS, *document, EOS]])
        return self.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.item()

    def logits(self, case: PairCase, in_parts: bool) -> list[float]:
        query = [BOS, *self.ids(case.query)[: MAX_QUERY_LENGTH - 2], EOS]
        room = MAX_LENGTH - len(query) - 2
        overlap = min(OVERLAP, room // 4)
        logits = []
        for text in case.documents:
            ids = self.ids(text)
            parts, start = [], 0
            while in_parts and len(ids) > room and start < len(ids):
                end = start + room
                parts.append(ids[start:end] if end < len(ids) else ids[-room:])
                start = end - overlap if end < len(ids) else end
            logits.append(max(self.logit(query, part) for part in parts or [ids[:room]]))
        return logits


if __name__ == "__main__":
    reference = Reference(tiny_encoder.make())
    golden = {
        model: {
            name: reference.logits(case, model == IN_PARTS) for name, case in PAIR_CASES.items()
        }
        for model in (IN_PARTS, BEGINNING)
    }
    PATH.write_text(json.dumps(golden, indent=1) + "\n")
    print(f"wrote the logits of {len(PAIR_CASES)} requests to {PATH.name}")
