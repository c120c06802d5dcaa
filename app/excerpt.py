"""What the dialects know of a JSON body; all else is passed over without being built."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator
from typing import Any

import msgspec
from msgspec import UNSET, Raw

Decoder = msgspec.json.Decoder[msgspec.Struct]

# A body with more brackets and commas, in its texts or between them, is never built whole.
_MOST_BUILT = 100_000
_MARKS = (b"[", b"{", b",")
_WINDOW = 64 * 1024
# Objects are read for these, and for the fields that the body names itself.
_READ = ("text", "id", "image", "truncate")
_NAMED_BY, _MOST_NAMES = "rank_fields", 16
_OBJECT, _LIST = b"{["
_EMPTY = sys.getsizeof("\N{GRINNING FACE}") - 4


class Excerpt:
    """Reads `fields` of JSON objects, and of a list no more than one item over `limit`."""

    def __init__(self, fields: Collection[str], limit: int) -> None:
        self._fields = _object(fields)
        self._items = _struct([str(i) for i in range(limit + 1)], array_like=True)

    def of(self, body: bytes) -> Any:
        """The fields of `body` with their values; raises `json.JSONDecodeError` as `json` does.

        A value is an item or a list of them; an item is a scalar or an object of scalars. What is
        nested more deeply is left empty.
        """
        try:
            return self._read(body)
        except RecursionError as error:
            raise json.JSONDecodeError("nested too deeply", "", 0) from error
        except ValueError as error:
            # `json` takes lone surrogates, NaN and UTF-16, and says better what is wrong.
            if sum(map(body.count, _MARKS)) <= _MOST_BUILT:
                return _loads(body)
            if isinstance(error, msgspec.ValidationError):
                return []
            raise json.JSONDecodeError(str(error), "", 0) from error

    def _read(self, body: bytes) -> dict[str, Any]:
        raws = dict(_present(self._fields, body))
        named = self._value(raws[_NAMED_BY], None) if _NAMED_BY in raws else None
        names = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
        item = _object([*_READ, *names[:_MOST_NAMES]])
        return {name: self._value(raw, item) for name, raw in raws.items()}

    def _value(self, raw: Raw, item: Decoder | None) -> Any:
        if memoryview(raw)[0] == _LIST:
            return [_item(each, item) for _, each in _present(self._items, raw)]
        return _item(raw, item)


def has_more_values(body: bytes, most: int) -> bool:
    """Whether there are more than about `most` values in `body`, counted without parsing it.

    To pass over values holds the interpreter's lock for some ten nanoseconds each; this does not.
    """
    if sum(map(body.count, _MARKS)) <= most:
        return False
    # They may be marks in texts: a window without escapes, split at quotes, tells.
    count, inside, carried = 0, 0, b""
    for start in range(0, len(body), _WINDOW):
        window = carried + body[start : start + _WINDOW]
        window = window.replace(b"\\\\", b"").replace(b'\\"', b"")
        carried = b"\\" if window.endswith(b"\\") else b""
        parts = window.split(b'"')
        values = b"".join(parts[inside::2])
        inside = (inside + len(parts) - 1) % 2
        count += sum(map(values.count, _MARKS))
        if count > most:
            return True
    return False


def size(value: Any) -> int:
    """Bytes of memory that the characters of an excerpt take."""
    if isinstance(value, dict):
        return sum(map(size, value.values()))
    if isinstance(value, list):
        return sum(map(size, value))
    return max(0, sys.getsizeof(value) - _EMPTY)


def _item(raw: Raw, item: Decoder | None) -> Any:
    if item and memoryview(raw)[0] == _OBJECT:
        return {name: _scalar(each) for name, each in _present(item, raw)}
    return _scalar(raw)


def _scalar(raw: Raw) -> Any:
    empty: dict[int, Any] = {_OBJECT: {}, _LIST: []}
    kind = memoryview(raw)[0]
    return empty[kind] if kind in empty else msgspec.json.decode(raw)


def _object(names: Collection[str]) -> Decoder:
    return _struct(list(dict.fromkeys(names)), array_like=False)


def _struct(names: list[str], array_like: bool) -> Decoder:
    """A decoder of objects with fields of these `names`, or of lists of as many items."""
    keys = [f"_{i}" for i in range(len(names))]
    fields = [(key, Raw, UNSET) for key in keys]
    renamed = dict(zip(keys, names, strict=True))
    return msgspec.json.Decoder(
        msgspec.defstruct("Excerpt", fields, rename=renamed, array_like=array_like)
    )


def _present(decoder: Decoder, raw: bytes | Raw) -> Iterator[tuple[str, Raw]]:
    """Names and values of what is there."""
    struct = decoder.decode(raw)
    for name, value in zip(
        struct.__struct_encode_fields__, msgspec.structs.astuple(struct), strict=True
    ):
        if value is not UNSET:
            yield name, value


def _loads(body: bytes) -> Any:
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        raise
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError("not UTF-8", "", error.start) from error
    except RecursionError as error:
        raise json.JSONDecodeError("nested too deeply", "", 0) from error
    except ValueError as error:
        raise json.JSONDecodeError("a number has too many digits", "", 0) from error
