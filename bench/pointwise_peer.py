"""What people run instead of this service for pointwise models, in a process of its own.

`python -m bench.pointwise_peer PEER FOLDER` loads the model in FOLDER, prints a line when it can be
asked, and answers each line of `{"query", "documents"}` with a line of scores.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

_BATCH = 16
Rank = Callable[[str, list[str]], list[float]]


def transformers(folder: Path) -> tuple[str, Rank]:
    """Qwen3-Reranker's published way: batches of padded prompts, two logits of the last token."""
    import torch
    import transformers
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    shape = json.loads((folder / "config.json").read_text())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(direction="left", pad_id=0)
    config = transformers.Qwen3Config(
        vocab_size=tokenizer.get_vocab_size(), tie_word_embeddings=True, **shape
    )
    model = transformers.Qwen3ForCausalLM(config).eval()
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    model.tie_weights()
    yes, no = (tokenizer.encode(word).ids[0] for word in ("yes", "no"))
    prompt = json.loads((folder / "prompt.json").read_text())

    def rank(query: str, documents: list[str]) -> list[float]:
        scores: list[float] = []
        for start in range(0, len(documents), _BATCH):
            texts = [
                prompt.replace("{query}", query).replace("{document}", document)
                for document in documents[start : start + _BATCH]
            ]
            batch = tokenizer.encode_batch(texts)
            with torch.inference_mode():
                logits = model(
                    input_ids=torch.tensor([e.ids for e in batch]),
                    attention_mask=torch.tensor([e.attention_mask for e in batch]),
                    logits_to_keep=1,
                    use_cache=False,
                ).logits[:, -1]
            scores += torch.sigmoid(logits[:, yes] - logits[:, no]).tolist()
        return scores

    return f"transformers {transformers.__version__}, torch {torch.__version__}, float32", rank


def sentence_transformers(folder: Path) -> tuple[str, Rank]:
    """`CrossEncoder` as its documentation shows it."""
    import sentence_transformers

    model = sentence_transformers.CrossEncoder(str(folder), device="cpu")

    def rank(query: str, documents: list[str]) -> list[float]:
        pairs = [(query, document) for document in documents]
        return [float(s) for s in model.predict(pairs, batch_size=_BATCH, show_progress_bar=False)]

    return f"sentence-transformers {sentence_transformers.__version__}, float32", rank


PEERS = {peer.__name__: peer for peer in (transformers, sentence_transformers)}


def main() -> None:
    """Serve standard input."""
    name, rank = PEERS[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps(name), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(rank(request["query"], request["documents"])), flush=True)


if __name__ == "__main__":
    main()
