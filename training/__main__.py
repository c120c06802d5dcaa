"""Command line of the training."""

from __future__ import annotations

import argparse
import itertools
import json
import random
import time
from dataclasses import asdict
from pathlib import Path

import gguf
import torch
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table
from tokenizers import Tokenizer

from models.jina.prompt import SpecialTokens, prompt_segments
from toolkit.export import Qwen3Config, write_gguf, write_projector
from toolkit.tokenizer import train_tokenizer
from training import synthetic
from training.batch import Batcher
from training.card import Results, card
from training.docstrings import docstring_pairs
from training.evaluate import Quality, Ranker, bm25, chance
from training.initial import initialise
from training.languages import language_examples
from training.network import Network
from training.packages import LANGUAGES, package_pairs
from training.pairs import Example, Pair, Sampler, split
from training.train import TEMPERATURE, ranker, train_bag, train_lists

CONFIG = Qwen3Config(
    hidden_size=256,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=4,
    head_dim=64,
    intermediate_size=512,
)
_VOCABULARY_SIZE = 8192
_JUDGED_LISTS = 200
_CANDIDATES = 20
_SAMPLE = 25


def main() -> None:
    """Train, judge, and write the model with its card."""
    arguments = _parse()
    start = time.monotonic()
    torch.manual_seed(arguments.seed)
    source = random.Random(arguments.seed)
    console = Console()
    console.print("reading package descriptions and docstrings…")
    train, held_out = split([*package_pairs(arguments.cache), *docstring_pairs()])
    console.print(f"{len(train):,} pairs to train on, {len(held_out):,} held out")
    tokenizer = _tokenizer(train)
    batcher = Batcher(tokenizer)
    network = Network(CONFIG, tokenizer.get_vocab_size())
    judged = _judged(held_out)
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn()) as bar:
        bag = train_bag(train, batcher, arguments.bag_steps, bar, source)
        initialise(network, bag, tokenizer)
        watched = judged["package descriptions, en"][:40]
        train_lists(network, batcher, train, watched, arguments.steps, bar, source)
    minutes = (time.monotonic() - start) / 60
    results = _results(judged, ranker(network, batcher))
    _show(results, console)
    _write(arguments.out, network, tokenizer)
    (arguments.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    parameters = sum(p.numel() for p in network.parameters())
    threads = torch.get_num_threads()
    text = card(results, parameters, len(train), len(held_out), minutes, threads, TEMPERATURE)
    (arguments.out / "README.md").write_text(text)
    _write_examples(arguments.out / "held_out.json", judged["package descriptions, en"])
    console.print(f"the model is in {arguments.out}")


def _tokenizer(pairs: list[Pair]) -> Tokenizer:
    # The prompt's own words become whole tokens, so that it takes few of them.
    segments = prompt_segments(SpecialTokens(0, 1, 2, 3), "", [""] * 30)
    prompt = [segment for segment in segments if isinstance(segment, str)]
    # So do letters of scripts that no pair is written in.
    letters = [f"{space}{letter}" for letter in synthetic.letters() for space in ("", " ")]
    texts = itertools.chain.from_iterable((pair.query, pair.document) for pair in pairs)
    return train_tokenizer([*prompt * 500, *letters * 3000, *texts], _VOCABULARY_SIZE)


def _results(judged: dict[str, list[Example]], model: Ranker) -> Results:
    rankers = {"model": model, "BM25": bm25, "chance": chance}
    return {
        name: {label: asdict(Quality.of(function, examples)) for label, function in rankers.items()}
        for name, examples in judged.items()
    }


def _judged(held_out: list[Pair]) -> dict[str, list[Example]]:
    """Held-out examples by the name of where they come from."""
    kinds = {f"package descriptions, {name}": f"{name} " for name in LANGUAGES}
    kinds["docstrings"] = "python "
    judged = {}
    for name, topic in kinds.items():
        pairs = [pair for pair in held_out if pair.topic.startswith(topic)]
        source = random.Random(0)
        sampler = Sampler(pairs, source)
        chosen = source.sample(pairs, min(_JUDGED_LISTS, len(pairs)))
        judged[name] = [sampler.example(_CANDIDATES, pair) for pair in chosen]
    sentences = language_examples()
    judged["sentences, ten languages"] = [e for examples in sentences.values() for e in examples]
    return judged | {f"sentences, {name}": examples for name, examples in sentences.items()}


def _show(results: Results, console: Console) -> None:
    table = Table("nDCG@10 / MRR / first", *next(iter(results.values())))
    for name, rankers in results.items():
        cells = (f"{q['ndcg']:.3f} / {q['mrr']:.3f} / {q['top']:.0%}" for q in rankers.values())
        table.add_row(name, *cells)
    console.print(table)


def _write(folder: Path, network: Network, tokenizer: Tokenizer) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: p.detach().numpy() for name, p in network.named_parameters()}
    projector = tensors.pop("first"), tensors.pop("second")
    named = {_hugging_face_name(name): tensor for name, tensor in tensors.items()}
    content = json.loads(tokenizer.to_str())
    kind = gguf.GGMLQuantizationType.F16
    write_gguf(folder / "model.gguf", CONFIG, named, content, kind)
    write_projector(folder / "projector.safetensors", *projector)


def _write_examples(path: Path, examples: list[Example]) -> None:
    """A sample to test the service with."""
    content = [asdict(example) for example in examples[:_SAMPLE]]
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def _hugging_face_name(name: str) -> str:
    return f"model.{name}.weight"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("weights/demo"))
    parser.add_argument("--cache", type=Path, default=Path("weights/training"))
    parser.add_argument("--bag-steps", type=int, default=1600, help="steps of the first stage")
    parser.add_argument("--steps", type=int, default=100, help="steps on whole prompts")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
