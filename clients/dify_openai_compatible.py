"""The model of Dify's plugin "OpenAI-API-compatible", out of the SDK that it is made of."""

from dify_plugin.interfaces.model.openai_compatible.rerank import OAICompatRerankModel
from sample import DOCUMENTS, QUERY, URL, tell

model = OAICompatRerankModel([])
credentials = {"endpoint_url": f"{URL}/v1", "api_key": "key"}
tell(document.index for document in model._invoke("any", credentials, QUERY, DOCUMENTS).docs)
