"""What a llama-server might answer that is not well."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.reliability.faulty_proxy import Damage


def _changed(change: Callable[[Any], Any]) -> Damage:
    """Damage to parsed JSON; what became shorter is filled up with spaces."""

    def damage(content: bytes) -> bytes:
        return json.dumps(change(json.loads(content))).encode().ljust(len(content))

    return damage


def _probabilities(change: Callable[[list[Any]], Any]) -> Damage:
    def damaged(answer: Any) -> Any:
        position = answer["completion_probabilities"][0]
        position["top_logprobs"] = change(position["top_logprobs"])
        return answer

    return _changed(damaged)


def _not_a_number(tokens: list[Any]) -> list[Any]:
    tokens[1]["logprob"] = float("nan")
    return tokens


def _null(tokens: list[Any]) -> list[Any]:
    tokens[1]["logprob"] = None
    return tokens


def _same_token(tokens: list[Any]) -> list[Any]:
    return [tokens[0], *tokens[:-1]]


DAMAGE: dict[str, tuple[str, Damage]] = {
    "garbage": ("/completion", lambda content: b"\x00\xff" * (len(content) // 2)),
    "truncated": ("/completion", lambda content: content[: len(content) // 2]),
    "nothing": ("/completion", lambda content: b""),
    "another object": ("/completion", _changed(lambda answer: {"content": "a"})),
    "a list": ("/completion", _changed(lambda answer: [1, 2])),
    "too few": ("/completion", _probabilities(lambda tokens: tokens[:-1])),
    "too many": ("/completion", _probabilities(lambda tokens: [*tokens, tokens[-1]])),
    "NaN": ("/completion", _probabilities(_not_a_number)),
    "null": ("/completion", _probabilities(_null)),
    "twice the same": ("/completion", _probabilities(_same_token)),
    "garbage for tokens": ("/tokenize", lambda content: b"<html>".ljust(len(content))),
    "too few tokens": ("/tokenize", _changed(lambda answer: {"tokens": answer["tokens"][:9]})),
    "huge token": ("/tokenize", _changed(lambda answer: {"tokens": [10**30, *answer["tokens"]]})),
    "no text": ("/detokenize", _changed(lambda answer: {})),
}
