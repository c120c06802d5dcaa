"""The arguments are the provider and the path to enter."""

import sys

from rerankers.models.api_rankers import APIRanker
from sample import DOCUMENTS, QUERY, URL

provider, path = sys.argv[1:]
ranker = APIRanker("any", "key", provider, url=URL + path)
for result in ranker.rank(QUERY, DOCUMENTS):
    print(result.document.text)
