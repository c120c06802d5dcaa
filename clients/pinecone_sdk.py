from pinecone import Pinecone
from sample import DOCUMENTS, QUERY, URL, tell

answer = Pinecone("key", host=URL).inference.rerank("any", QUERY, DOCUMENTS, top_n=4)
tell(result.index for result in answer.data)
