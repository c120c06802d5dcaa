"""The API does what its own description says, for requests made out of that description."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import settings
from schemathesis import Case
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from app.main import create_app
from toolkit.running import Service

# Integers may not be written 2.0, as JSON Schema allows, and booleans may be written 0.
STRICTNESS: list[CheckFunction] = [negative_data_rejection, positive_data_acceptance]

# The other paths are aliases.
schema = schemathesis.openapi.from_dict(create_app().openapi()).exclude(path_regex="reranking$")


@schema.parametrize()
@settings(max_examples=8)
def test_answers_as_described(service: Service, case: Case[Any]) -> None:
    """No internal error, no status, content type or body that the description does not name."""
    body: Any = case.body
    if isinstance(body, dict) and isinstance(body.get("documents"), list):
        # Their shape is at stake, and the model takes its time for each.
        case.body = body | {"documents": body["documents"][:2]}

    case.call_and_validate(base_url=service.url, timeout=60, excluded_checks=STRICTNESS)
