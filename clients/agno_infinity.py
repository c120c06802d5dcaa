from agno.knowledge.document import Document
from agno.knowledge.reranker.infinity import InfinityReranker
from sample import DOCUMENTS, QUERY, URL

found = [Document(content=text) for text in DOCUMENTS]
for document in InfinityReranker(url=URL).rerank(QUERY, found):
    print(document.content)
