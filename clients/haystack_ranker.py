"""The rankers of Haystack; the argument names one."""

import sys

from haystack import Document
from haystack.utils import Secret
from sample import DOCUMENTS, QUERY, URL

KEY = Secret.from_token("key")


def cohere():
    from haystack_integrations.components.rankers.cohere import CohereRanker

    return CohereRanker(api_base_url=URL, api_key=KEY)


def jina():
    from haystack_integrations.components.rankers.jina import JinaRanker

    return JinaRanker(base_url=f"{URL}/v1", api_key=KEY)


def nvidia():
    from haystack_integrations.components.rankers.nvidia import NvidiaRanker

    return NvidiaRanker(api_url=f"{URL}/v1", api_key=KEY, model="any")


def tei():
    from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker

    return HuggingFaceTEIRanker(url=URL, max_retries=1)


ranker = globals()[sys.argv[1]]()
ranker.warm_up() if hasattr(ranker, "warm_up") else None
found = [Document(content=text) for text in DOCUMENTS]
for document in ranker.run(query=QUERY, documents=found)["documents"]:
    print(document.content)
