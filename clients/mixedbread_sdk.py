from mixedbread import Mixedbread
from sample import DOCUMENTS, QUERY, URL, tell

client = Mixedbread(api_key="key", base_url=URL, max_retries=0)
tell(result.index for result in client.rerank(query=QUERY, input=DOCUMENTS).data)
