"""What this client can ask a reranker: which model it serves, then a request of its own."""

import openai
from sample import DOCUMENTS, QUERY, URL, tell

client = openai.OpenAI(base_url=f"{URL}/v1", api_key="key", max_retries=0)
model = client.models.retrieve(client.models.list().data[0].id)
body = {"model": model.id, "query": QUERY, "documents": DOCUMENTS}
answer = client.post("/rerank", body=body, cast_to=dict[str, object])
tell(result["index"] for result in answer["results"])
