"""Field types that the dialects share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, FailFast, Field
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

MOST_RANK_FIELDS = 16
# What every body is shown with.
EXAMPLE_QUERY = "내일 회의 일정"
EXAMPLE_TEXTS = ["오늘 점심은 김치찌개를 먹었다", "내일 오후 2시에 품질 미팅이 있습니다"]


class TextObject(TypedDict, total=False):
    """A text as an object, which may have other properties too."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    text: str


def shown(**body: Any) -> ConfigDict:
    """The configuration of a body that the description shows as this one."""
    return ConfigDict(json_schema_extra={"examples": [body]})


def _text(value: Any) -> str:
    if isinstance(value, dict):
        if value.get("image"):
            raise PydanticCustomError("image", "must have no image: only texts are ranked")
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
Text = Annotated[String, BeforeValidator(_text, json_schema_input_type=str | TextObject)]
# One wrong item is enough: an error for each of millions would fill the memory.
Strings = Annotated[list[String], FailFast()]
Texts = Annotated[list[Text], FailFast()]
Query = Annotated[Text, AfterValidator(_not_blank)]
RankFields = Annotated[list[str], Field(max_length=MOST_RANK_FIELDS)]
_Count = Annotated[int, Field(ge=0)]
TopN = Annotated[_Count, BeforeValidator(_no_boolean, json_schema_input_type=_Count)]
Score = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Tokens = Annotated[int, Field(strict=True, ge=1)]
Milliseconds = Annotated[int, Field(strict=True, ge=1)]


def only(*honoured: Any, otherwise: str) -> AfterValidator:
    """Refuses a value that the dialect knows and the service cannot honour, but for these."""

    def check(value: Any) -> Any:
        if value is not None and value not in honoured:
            raise PydanticCustomError("unsupported", "{reason}", {"reason": otherwise})
        return value

    return AfterValidator(check)


# What vLLM knows.
WHOLE_PROMPT = only(
    -1, otherwise="a prompt cannot be cut to these tokens; send max_tokens_per_doc instead, or -1"
)
Side = Literal["left", "right"]
# Of dialects whose answers have a score for each document.
NO_MIN_SCORE = only(otherwise="every document has its score in this answer; leave it out")
NOT_PARTIAL = only(False, otherwise="every document has its score in this answer; leave it out")


def join_rank_fields(body: Any, name: str) -> Any:
    """A body whose documents, in the field `name`, are texts made of their `rank_fields`."""
    fields = body.get("rank_fields") if isinstance(body, dict) else None
    if not isinstance(fields, list) or len(fields) > MOST_RANK_FIELDS:
        return body
    if not all(isinstance(field, str) for field in fields):
        return body
    if isinstance(body.get(name), list):
        # Each once, so that the texts grow no larger than the body.
        fields = list(dict.fromkeys(fields))
        return body | {name: [_joined(item, fields) for item in body[name]]}
    return body


def _joined(document: Any, fields: list[str]) -> Any:
    if not isinstance(document, dict):
        return document
    texts = [document[name] for name in fields if isinstance(document.get(name), str)]
    return {"text": "\n".join(texts)} if texts else document
