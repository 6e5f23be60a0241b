"""The `judge` section of params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.params.base import ModelSource, PositiveInt, Section, Share
from pipeline.params.endpoint import EndpointSettings

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


class JudgeEndpoint(EndpointSettings):
    requests_per_minute: PositiveInt | None


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
