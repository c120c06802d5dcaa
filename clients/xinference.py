from sample import DOCUMENTS, QUERY, URL, tell
from xinference_client import RESTfulClient

client = RESTfulClient(URL)
model = client.get_model(next(iter(client.list_models())))
tell(result["index"] for result in model.rerank(DOCUMENTS, QUERY)["results"])
