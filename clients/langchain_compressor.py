"""The document compressors of LangChain; the argument names one."""

import sys

from langchain_core.documents import Document
from sample import DOCUMENTS, QUERY, URL


def infinity():
    from infinity_client import Client
    from langchain_community.document_compressors import InfinityRerank

    compressor = InfinityRerank(top_n=4)
    compressor.client = Client(base_url=URL)
    return compressor


def jina():
    from langchain_community.document_compressors import jina_rerank

    jina_rerank.JINA_API_URL = f"{URL}/v1/rerank"
    return jina_rerank.JinaRerank(jina_api_key="key", top_n=4)


def cohere():
    from langchain_cohere import CohereRerank

    return CohereRerank(cohere_api_key="key", base_url=URL, model="any", top_n=4)


def voyage():
    from langchain_voyageai import VoyageAIRerank

    return VoyageAIRerank(api_key="key", base_url=URL, model="rerank-2")


def nvidia():
    from langchain_nvidia_ai_endpoints import NVIDIARerank

    return NVIDIARerank(base_url=f"{URL}/v1", model="any", top_n=4)


compressor = globals()[sys.argv[1]]()
found = [Document(text, id=str(place)) for place, text in enumerate(DOCUMENTS)]
for document in compressor.compress_documents(found, QUERY):
    print(document.page_content)
