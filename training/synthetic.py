"""Made-up texts in many scripts, where the relevant one shares the most with the query."""

from __future__ import annotations

import random

from training.pairs import Example

# Letters, and whether words of the script are written apart.
_SCRIPTS = (
    ("abcdefghijklmnopqrstuvwxyz", True),
    ("aábcdeéfghiíjklmnñoópqrstuúüvwxyzßäö", True),
    ("абвгдежзийклмнопрстуфхцчшщыьэюя", True),
    ("ابتثجحخدذرزسشصضطظعغفقكلمنهوي", True),
    ("अआइईउऊएऐओऔकखगघचछजझटठडढणतथदधनपफबभमयरलवशषसहािीुूेैोौं", True),
    ("αβγδεζηθικλμνξοπρστυφχψω", True),
    ("אבגדהוזחטיכלמנסעפצקרשת", True),
    ("กขคงจฉชซญดตถทธนบปผพฟมยรลวสหอะาิีุูเแโ", False),
    ("".join(map(chr, range(0xAC00, 0xD7A4))), True),
    (
        "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをんアイウエオカキクケコ",
        False,
    ),
    ("".join(map(chr, range(0x4E00, 0x9000))), False),
)


def letters() -> list[str]:
    """Those of the alphabets, without the thousands of syllables and characters."""
    return [letter for script, _ in _SCRIPTS if len(script) < 200 for letter in script]


def synthetic_example(size: int, source: random.Random) -> Example:
    """A list of `size` candidates in one script.

    The relevant one holds most words of the query, others hold fewer of them or none.
    """
    script, apart = source.choice(_SCRIPTS)
    longest = 9 if len(script) < 100 else 3
    vocabulary = [
        "".join(source.choices(script, k=source.randint(max(1, longest // 3), longest)))
        for _ in range(source.randint(60, 200))
    ]
    joint = " " if apart else ""
    wanted = source.sample(vocabulary, source.randint(2, 6))
    shared = source.randint(max(1, len(wanted) // 2), len(wanted))
    documents = []
    for i in range(size):
        words = [w for w in source.choices(vocabulary, k=source.randint(4, 20)) if w not in wanted]
        hits = shared if i == 0 else source.choice([0, 0, 0, *range(shared)])
        words += [_inflected(word, source) for word in source.sample(wanted, hits)]
        source.shuffle(words)
        documents.append(joint.join(words))
    relevant = documents[0]
    source.shuffle(documents)
    return Example(joint.join(wanted), documents, documents.index(relevant))


def _inflected(word: str, source: random.Random) -> str:
    """The word as it may stand in another sentence: mostly itself, at times with an ending."""
    return word if source.random() < 0.7 else word + source.choice(word)
