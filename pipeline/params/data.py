"""The section `data` of params.yaml: what the sources are, how their rows are read, and who gets which prompts."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.params.base import Count, PositiveFloat, PositiveInt, Section, Share
from pipeline.params.codings import LabelCoding, WinnerCoding


class Columns(Section):
    text: str | None
    label: str | None
    prompt: str | None
    context: str | None
    tools: str | None
    chosen: str | None
    rejected: str | None
    chosen_score: str | None
    rejected_score: str | None
    response_a: str | None
    response_b: str | None
    winner: str | list[str] | None
    annotator: str | None
    item: str | None
    models: Annotated[list[str], Field(min_length=2, max_length=2)] | None
    responses: str | list[str] | None
    scores: str | list[str] | None
    response: str | None
    score: str | None
    rank: str | None
    judge_prompt: str | None
    tree: str | None
    category: str | list[str] | None


class Splits(Section):
    """null: what the kind of source says, see pipeline.data.shares."""

    judge: Share | None
    sft: Share | None
    train: Share | None
    validation: Share | None
    test: Share | None
    evaluation: Share | None

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        shares = self.model_dump().values()
        total = sum(share for share in shares if share is not None)
        if total > 1.0 + 1e-9 or (None not in shares and total < 1.0 - 1e-9):
            raise ValueError(f"the shares add up to {total:g}, they must add up to 1")
        return self


class Limits(Section):
    """null: what the kind of source says, see pipeline.data.shares."""

    judge: Count | None
    sft: Count | None
    train: Count | None
    validation: Count | None
    test: Count | None
    evaluation: Count | None


class Leakage(Section):
    threshold: Annotated[float, Field(gt=0, le=1)] | None
    """null: held-out rows are not compared with what is trained on."""


class MixedSource(Section):
    name: Annotated[str, Field(min_length=1)]
    share: Annotated[float, Field(gt=0, le=1)]


class Data(Section):
    source: Annotated[str, Field(min_length=1)] | Annotated[list[MixedSource], Field(min_length=1)]
    format: Literal[
        "auto",
        "preference_pairs",
        "comparisons",
        "round_robin",
        "judgements",
        "trees",
        "scored_responses",
        "ratings",
        "rankings",
        "thumbs",
        "labelled_texts",
        "demonstrations",
        "texts",
        "prompts",
        "openai_preference",
        "pku_saferlhf",
        "auto_j",
        "webgpt_comparisons",
        "shp",
        "helpsteer_ratings",
        "helpsteer2_preference",
        "helpsteer3_preference",
        "nectar",
        "stack_exchange_preferences",
        "stack_exchange_paired",
        "judge_bench",
        "rm_bench",
        "summarize_from_feedback",
        "ms_swift",
        "messages_pairs",
        "system_pairs",
        "ms_swift_query",
        "lmsys_kaggle",
        "ultrafeedback",
        "distilabel_ratings",
        "pos_neg",
        "label_studio_pairwise",
    ]
    revision: str | None
    split: str
    columns: Columns
    ignore_columns: list[Annotated[str, Field(min_length=1)]] | None
    winner_coding: WinnerCoding
    label_coding: LabelCoding
    best_rank: Literal["lowest", "highest"] | None
    best_score: Literal["lowest", "highest"] | None
    first_index: Literal[0, 1] | None
    max_row_megabytes: PositiveFloat
    separator: str
    chat_format: Literal["auto", "transcript", "template"]
    prompt_words: PositiveInt
    response_words: PositiveInt
    min_words: PositiveInt
    splits: Splits
    limits: Limits
    leakage: Leakage
    max_dropped_share: Share

    @model_validator(mode="after")
    def _leaves_a_response(self) -> Self:
        if self.min_words <= self.prompt_words:
            raise ValueError(f"min_words ({self.min_words}) must exceed prompt_words ({self.prompt_words})")
        return self
