"""Opening the model that the settings name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from models.families import check_file, family_of
from models.long_documents import LongDocuments
from models.rerank import RankingModel
from models.whole_file import in_use
from models.wishes import Wishes


@asynccontextmanager
async def open_model(wishes: Wishes) -> AsyncIterator[RankingModel]:
    """The model, checked to work, behind a llama-server that runs.

    Raises `ConfigurationError` or `ModelError` with what to do.
    """
    family, card = family_of(wishes.model)
    if wishes.gguf:
        check_file(wishes.model, wishes.gguf)
    # A newer copy that is made beside it leaves this one for llama-server to start again with.
    with in_use(wishes.gguf):
        async with family.open(card, wishes) as model:
            split = wishes.long_documents == "split"
            yield LongDocuments(model, split, wishes.max_passages)
