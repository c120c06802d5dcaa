import voyageai
from sample import DOCUMENTS, QUERY, URL, tell

client = voyageai.Client("key", base_url=URL)
tell(r.index for r in client.rerank(QUERY, DOCUMENTS, model="rerank-2").results)
