"""The API does what its own description says, for requests made out of that description."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import settings
from schemathesis import Case
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from app.dialects.spoken import DIALECTS
from app.main import create_app
from toolkit.running import Service

# Integers may not be written 2.0, as JSON Schema allows, and booleans may be written 0.
STRICTNESS: list[CheckFunction] = [negative_data_rejection, positive_data_acceptance]

# The other paths are aliases.
ALIASES = r"^/(v1/)?reranking$|^/(ranking|models/rerank|v1/score|v1/info)$"
schema = schemathesis.openapi.from_dict(create_app().openapi()).exclude(path_regex=ALIASES)
# Fields that hold the documents.
DOCUMENTS = {name for dialect in DIALECTS for name in dialect.DOCUMENTS}


@schema.parametrize()
@settings(max_examples=8)
def test_answers_as_described(service: Service, case: Case[Any]) -> None:
    """No internal error, no status, content type or body that the description does not name."""
    body: Any = case.body
    if isinstance(body, dict):
        # Their shape is at stake, and the model takes its time for each.
        case.body = {
            name: value[:2] if name in DOCUMENTS and isinstance(value, list) else value
            for name, value in body.items()
        }
        # Milliseconds that no ranking can keep are answered with 503, rightly.
        case.body.pop("timeout_ms", None)

    case.call_and_validate(base_url=service.url, timeout=60, excluded_checks=STRICTNESS)
