import asyncio

from lightrag.rerank import jina_rerank
from sample import DOCUMENTS, QUERY, URL, tell

asked = jina_rerank(QUERY, DOCUMENTS, api_key="key", base_url=f"{URL}/v1/rerank")
tell(result["index"] for result in asyncio.run(asked))
