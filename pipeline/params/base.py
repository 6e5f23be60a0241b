"""What the sections of params.yaml are made of: strict models, ranges of numbers, and parts that trainers share."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=0)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of every section: immutable, strict, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class ModelSource(Section):
    source: Annotated[str, Field(min_length=1)]
    revision: str | None
    trust_remote_code: bool
    dtype: Literal["bfloat16", "float32"]


Quantization = Literal["none", "nf4"]


class Finetuning(Section):
    method: Literal["lora", "full"]
    lora_r: PositiveInt
    lora_alpha: PositiveInt
    lora_target_modules: Literal["all-linear"] | list[str]
    quantization: Quantization = "none"

    @model_validator(mode="after")
    def _quantized_weights_are_frozen(self) -> Self:
        if self.method == "full" and self.quantization != "none":
            raise ValueError(
                "quantization nf4 keeps the weights in 4 bits, which cannot be trained: set method to lora, or "
                "quantization to none"
            )
        return self


OptimizerName = Literal["adamw", "adamw_8bit", "paged_adamw_8bit"]


LearningRateSchedule = Literal["linear", "cosine", "constant"]
"""How the learning rate goes on after its warm-up."""


class SupervisedSchedule(Section):
    """The steps of every trainer on a fixed data set: SFT, reward model and DPO."""

    learning_rate: PositiveFloat
    warmup_ratio: Share
    num_train_epochs: PositiveInt
    per_device_train_batch_size: PositiveInt
    gradient_accumulation_steps: PositiveInt
    weight_decay: NonNegativeFloat
    max_grad_norm: PositiveFloat
    optimizer: OptimizerName = "adamw"


class SupervisedTraining(SupervisedSchedule):
    """What every trainer on a fixed data set has: its steps, and how it is watched on examples that it does not see."""

    lr_scheduler_type: LearningRateSchedule
    eval_steps: Count | Literal["epoch"]
    early_stopping_patience: PositiveInt | None

    @model_validator(mode="after")
    def _stopping_needs_a_loss(self) -> Self:
        if self.early_stopping_patience is not None and self.eval_steps == 0:
            raise ValueError("early_stopping_patience watches the validation loss: set eval_steps, too")
        return self
