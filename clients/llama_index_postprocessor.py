"""The node postprocessors of LlamaIndex; the argument names one."""

import os
import sys

from llama_index.core.schema import NodeWithScore, TextNode
from sample import DOCUMENTS, MODEL, QUERY, URL


def jina():
    from llama_index.postprocessor.jinaai_rerank import JinaRerank

    return JinaRerank(base_url=f"{URL}/v1", api_key="key", top_n=4)


def cohere():
    from llama_index.postprocessor.cohere_rerank import CohereRerank

    return CohereRerank(base_url=URL, api_key="key", model="any", top_n=4, max_retries=1)


def tei():
    from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

    return TextEmbeddingInference(base_url=URL, top_n=4)


def xinference():
    from llama_index.postprocessor.xinference_rerank import XinferenceRerank

    return XinferenceRerank(base_url=URL, model="any", top_n=4)


def nvidia():
    from llama_index.postprocessor.nvidia_rerank import NVIDIARerank

    return NVIDIARerank(base_url=f"{URL}/v1", model=MODEL, top_n=4)


def mixedbread():
    from llama_index.postprocessor.mixedbreadai_rerank import MixedbreadAIRerank

    os.environ["MIXEDBREAD_BASE_URL"] = URL
    return MixedbreadAIRerank(api_key="key", top_n=4, max_retries=0)


postprocessor = globals()[sys.argv[1]]()
found = [NodeWithScore(node=TextNode(text=text)) for text in DOCUMENTS]
for node in postprocessor.postprocess_nodes(found, query_str=QUERY):
    print(node.node.get_content())
