"""Unicode's normal form C, in a time that grows with the text and not with its square."""

from __future__ import annotations

import re
import unicodedata

# Combining marks are neither letters nor spaces; other symbols may stand among them. Written text
# puts at most 30 marks on a letter (Unicode's Stream-Safe Text Format).
_MANY_MARKS = re.compile(r"([^\w\s!-~]{256})")


def nfc(text: str) -> str:
    """`text` in NFC, but that 256 marks or symbols in a row are normalised on their own.

    Python orders the marks of one letter by insertion, which takes days for a few megabytes.
    """
    pieces = _MANY_MARKS.split(text)
    return "".join(unicodedata.normalize("NFC", piece) for piece in pieces)
