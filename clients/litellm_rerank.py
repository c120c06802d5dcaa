"""The arguments are the provider and what its base holds after the address."""

import os
import sys

import litellm
from sample import DOCUMENTS, QUERY, URL, tell

provider, path = sys.argv[1], "".join(sys.argv[2:])
os.environ["NVIDIA_NIM_API_KEY"] = os.environ["VOYAGE_API_KEY"] = "key"
answer = litellm.rerank(
    model=f"{provider}/any",
    api_base=URL + path,
    api_key="key",
    query=QUERY,
    documents=DOCUMENTS,
    top_n=len(DOCUMENTS),
    max_retries=0,
    # As infinity itself does, which answers texts where others answer objects.
    return_documents=False,
)
tell(result["index"] for result in answer.results)
