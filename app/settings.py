"""Settings of the front, read from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every field is an environment variable, upper case, prefixed with RERANKER_."""

    model_config = SettingsConfigDict(env_prefix="RERANKER_", env_ignore_empty=True)

    model: str = Field("jina-reranker-v3", description="name that answers carry")
    readout: Literal["prefix", "embedding"] = Field("prefix", description="how states are read")
    gguf: Path | None = Field(None, description="GGUF that llama-server serves")
    projector: Path | None = Field(None, description="projector file; default: the model's own")
    device: str = Field("unknown", description="where llama-server computes, as it reports it")
    fallback: str = Field("", description="what start.sh gave up to start llama-server")
    max_documents: int = Field(1024, ge=1, description="documents of one request")
    max_body_bytes: int = Field(32 * 2**20, ge=1, description="bytes of one request body")
    max_query_tokens: int = Field(512, ge=1, description="a query is truncated to this")
    max_document_tokens: int = Field(2048, ge=1, description="a document is truncated to this")
    api_key: str = Field("", description="bearer tokens that clients need, comma separated")
    cors_origins: str = Field("", description="web pages' origins that may ask, comma separated")
    restarts: Path | None = Field(None, description="file with a line for each restart")
    queue_limit: int = Field(64, ge=0, description="requests that may wait for a slot")
    timeout_seconds: float = Field(300, gt=0, description="longest that one request may take")
    body_timeout_seconds: float = Field(30, gt=0, description="longest that a body may take")
    llama_server_url: str = Field(
        "http://127.0.0.1:8081", validation_alias=AliasChoices("LLAMA_SERVER_URL")
    )
    llama_server_api_key: SecretStr = Field(
        SecretStr(""), validation_alias=AliasChoices("LLAMA_SERVER_API_KEY")
    )

    @field_validator("llama_server_api_key")
    @classmethod
    def _one_header(cls, key: SecretStr) -> SecretStr:
        stripped = key.get_secret_value().strip()
        if not stripped.isprintable():
            raise ValueError("a key has no line breaks or other control characters")
        return SecretStr(stripped)

    @property
    def api_keys(self) -> list[str]:
        """The keys of `api_key`."""
        return _split(self.api_key)

    @property
    def allowed_origins(self) -> list[str]:
        """The origins of `cors_origins`."""
        return _split(self.cors_origins)

    @property
    def projector_path(self) -> Path:
        """The projector file, by default in the model's folder under weights/."""
        return self.projector or Path("weights") / self.model / "projector.safetensors"


def _split(values: str) -> list[str]:
    return [value.strip() for value in values.split(",") if value.strip()]
