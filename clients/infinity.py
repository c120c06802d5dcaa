from infinity_client import Client
from infinity_client.api.default import rerank
from infinity_client.models import RerankInput
from sample import DOCUMENTS, QUERY, URL, tell

body = RerankInput(query=QUERY, documents=DOCUMENTS, model="any")
tell(r.index for r in rerank.sync(client=Client(base_url=URL), body=body).results)
