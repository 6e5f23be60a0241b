"""The `judge` section of params.yaml."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from pipeline.params.base import Count, ModelSource, PositiveFloat, PositiveInt, Section, Share

_Field = str | int | float | bool | None


class RewardModelJudge(ModelSource):
    batch_size: PositiveInt


class ChatJudge(Section):
    model: Annotated[str, Field(min_length=1)]
    prompt: Annotated[str, Field(pattern=r"^[\w-]+$")]
    rubric: Annotated[str, Field(min_length=1)] | None
    request: dict[str, _Field]
    max_asks: PositiveInt
    opponents: PositiveInt | None
    max_malformed_share: Share

    @field_validator("request")
    @classmethod
    def _leaves_the_rest_alone(cls, request: dict[str, _Field]) -> dict[str, _Field]:
        taken = sorted({"model", "messages", "stream", "n", "api_key"} & set(request))
        if taken:
            raise ValueError(f"{', '.join(taken)} cannot be set here")
        return request


class JudgeEndpoint(Section):
    base_url: Annotated[str, Field(pattern=r"^https?://")]
    key_variable: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
    timeout_seconds: PositiveFloat
    max_retries: Count
    first_retry_seconds: PositiveFloat
    requests_per_minute: PositiveInt | None
    concurrency: PositiveInt

    @field_validator("base_url")
    @classmethod
    def _holds_no_secret(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.username or parts.password or parts.query:
            raise ValueError("no user, password or query belongs into it; the environment variable has the key")
        return url


class Judge(Section):
    kind: Literal["classifier", "reward_model", "chat"]
    second: Literal["none", "lexicon", "reward_model", "chat"]
    min_accuracy: Share
    below_min_accuracy: Literal["flag", "stop"]
    measured_pairs: PositiveInt
    reward_model: RewardModelJudge
    chat: ChatJudge
    endpoint: JudgeEndpoint

    @model_validator(mode="after")
    def _two_families(self) -> Self:
        if self.second == self.kind:
            raise ValueError(
                f"kind and second are both {self.kind}; the second judge has to be of another family, or none"
            )
        return self
