"""Where a server is that speaks OpenAI's interface, and how it is asked."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from pipeline.params.base import Count, PositiveFloat, PositiveInt, Section


class EndpointSettings(Section):
    base_url: Annotated[str, Field(pattern=r"^https?://")]
    key_variable: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
    timeout_seconds: PositiveFloat
    max_retries: Count
    first_retry_seconds: PositiveFloat
    concurrency: PositiveInt

    @field_validator("base_url")
    @classmethod
    def _holds_no_secret(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.username or parts.password or parts.query:
            raise ValueError("no user, password or query belongs into it; the environment variable has the key")
        return url


class EngineServer(EndpointSettings):
    """The `engine` section of params.yaml: a server that samples, where `sampling.engine` says so."""

    adapters: Annotated[str, Field(min_length=1)]
