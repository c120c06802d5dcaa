"""It has no client of its own: the request that its documentation shows."""

from huggingface_hub import get_session
from sample import DOCUMENTS, QUERY, URL, tell

answer = get_session().post(f"{URL}/rerank", json={"query": QUERY, "texts": DOCUMENTS})
answer.raise_for_status()
tell(result["index"] for result in answer.json())
