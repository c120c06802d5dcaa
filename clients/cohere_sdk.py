"""Versions 1 and 2 of the client: the argument names the class."""

import sys

import cohere
from sample import DOCUMENTS, QUERY, URL, tell

client = getattr(cohere, sys.argv[1])("key", base_url=URL)
tell(r.index for r in client.rerank(model="any", query=QUERY, documents=DOCUMENTS).results)
