from sample import DOCUMENTS, QUERY, URL, tell
from zeroentropy import ZeroEntropy

client = ZeroEntropy(api_key="key", base_url=URL, max_retries=0)
answer = client.models.rerank(query=QUERY, documents=DOCUMENTS, model="zerank-2")
tell(result.index for result in answer.results)
