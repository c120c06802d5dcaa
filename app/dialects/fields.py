"""Field types that the dialects share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, FailFast, Field, WithJsonSchema
from pydantic_core import PydanticCustomError


def _text(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("text")
    if not isinstance(value, str):
        raise PydanticCustomError("text", "must be a string or an object with a string `text`")
    return value


def _unicode(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise PydanticCustomError(
            "surrogate", "holds a lone surrogate, which is not Unicode text"
        ) from error
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("blank", "must not be empty")
    return value


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("whole_number", "must be a whole number")
    return value


String = Annotated[str, AfterValidator(_unicode)]
Text = Annotated[
    String,
    BeforeValidator(_text),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"text": {"type": "string"}},
                    "required": ["text"],
                },
            ]
        }
    ),
]
# One wrong item is enough: an error for each of millions would fill the memory.
Strings = Annotated[list[String], FailFast()]
Texts = Annotated[list[Text], FailFast()]
Query = Annotated[Text, AfterValidator(_not_blank)]
TopN = Annotated[int, BeforeValidator(_no_boolean), Field(ge=0)]
Score = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Tokens = Annotated[int, Field(strict=True, ge=1)]
