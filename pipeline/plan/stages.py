"""The stages of a run with what each needs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.memory.conditions import LIBRARIES, Conditions
from pipeline.memory.fitting import Fit, estimate_fit, usable_memory
from pipeline.memory.need import memory_parts
from pipeline.memory.parts import Parts, total
from pipeline.memory.reading import Reading
from pipeline.memory.work import Work
from pipeline.params.base import Finetuning
from pipeline.params.optimize import Method
from pipeline.params.schema import Params
from pipeline.plan.amounts import Amounts
from pipeline.plan.arithmetic import Labour
from pipeline.plan.labours import Labours
from pipeline.plan.models import PlannedModels
from pipeline.plan.reading_works import reading_works
from pipeline.training.ppo import ppo_iterations
from pipeline.training.schedule import checkpoint_steps, supervised_steps


@dataclass(frozen=True)
class PlannedStage:
    """What one stage needs; of a stage with several seeds, one of them."""

    stage: str
    parameters: int = 0
    """Weights of all networks that the stage holds."""
    trained: int = 0
    parts: Parts = field(default_factory=dict)
    """Bytes at the peak, by role."""
    fit: Fit | None = None
    """None where nothing large is held."""
    disk: int = 0
    """Bytes of its outputs."""
    labour: Labour = field(default_factory=Labour)
    fixed: float = 0.0
    """Seconds of what is no matrix product: reading, writing, fitting a judge."""


def plan_stages(
    params: Params, models: PlannedModels, amounts: Amounts, conditions: Conditions, *, limit: int | None
) -> list[PlannedStage]:
    """All stages, in the order in which a run has them.

    Args:
        limit: bytes of memory; None is what this machine has.
    """
    return list(_Planner(params, models, amounts, conditions, limit).stages())


_SECONDS_PER_ROW = 0.35e-3
"""Seconds for a row of the sources, as prepare_data and the check read them on one core."""
_READ_BYTES = 100e6
"""Bytes of weights in a second that are unpacked, hashed and written."""


@dataclass(frozen=True)
class _Planner:
    params: Params
    models: PlannedModels
    amounts: Amounts
    conditions: Conditions
    limit: int | None

    def stages(self) -> Iterator[PlannedStage]:
        params, models, amounts = self.params, self.models, self.amounts
        labours = Labours(params, models, amounts, self.conditions)
        works: dict[str, Work | Reading] = {work.section: work for work in amounts.trainings}
        works |= reading_works(params, models, amounts)
        fetched = models.policy.weights * models.policy_number + models.scorer.weights * models.backbone_number
        fetched += models.candidates
        reading = amounts.rows * _SECONDS_PER_ROW
        yield PlannedStage("check", fixed=reading)
        yield self._copying("fetch_models", both=True, disk=fetched)
        yield PlannedStage("prepare_data", fixed=reading)
        yield PlannedStage("fit_judge")
        yield self._stage("train_sft", works.get("train_sft"), labours.sft(), disk=self._weights("train_sft", 1))
        yield self._stage("collect_preferences", works.get("collect_preferences"), labours.collection())
        pairs = sum(amounts.pairs[split].count for split in ("train", "validation", "test"))
        yield PlannedStage("validate_preferences", fixed=pairs * _SECONDS_PER_ROW)
        trains = "train_reward" in works
        scorer = models.scorer.weights * models.scorer_number
        yield self._stage(
            "train_reward", works.get("train_reward"), labours.reward() if trains else Labour(), disk=scorer
        )
        yield self._stage("evaluate_reward", works["evaluate_reward"], labours.reward_evaluation())
        yield self._stage("score_reference", works["score_reference"], labours.reference())
        yield self._stage("evaluate_sft", works["evaluate_sft"], labours.sft_evaluation())
        for method in params.optimize.methods:
            for seed in params.optimize.seeds:
                yield from self._method(method, seed, works, labours)
        yield PlannedStage("write_report")
        released = models.policy.weights * models.policy_number * (1 + len(params.optimize.methods))
        yield self._copying("publish_models", both=False, disk=released)

    def _copying(self, name: str, *, both: bool, disk: int) -> PlannedStage:
        """A stage that reads and writes models, the policy first; fetch_models holds both until its end."""
        models = self.models
        held = models.policy.weights * models.policy_number
        held += models.scorer.weights * models.backbone_number if both else 0
        parts = {"libraries": LIBRARIES, "weights": held}
        limit = usable_memory(self.conditions.device) if self.limit is None else self.limit
        weights = models.policy.weights + (models.scorer.weights if both else 0)
        fit = Fit(total(parts), limit, ())
        return PlannedStage(name, weights, 0, parts, fit, disk, fixed=disk / _READ_BYTES)

    def _method(
        self, method: Method, seed: int, works: Mapping[str, Work | Reading], labours: Labours
    ) -> Iterator[PlannedStage]:
        name, kept = f"{method}-{seed}", len(self.checkpoints(method))
        if method == "hybrid":
            yield self._stage(f"find_regressions@{seed}", works["find_regressions"], labours.regressions())
        labour, disk = labours.optimisation(method), self._weights(f"optimize.{method}", 1 + kept)
        yield self._stage(f"optimize_policy@{name}", works.get(f"optimize.{method}"), labour, disk=disk)
        labour = labours.selection(1 + kept + (method == "hybrid"))
        yield self._stage(f"select_checkpoint@{name}", works["select_checkpoint"], labour)
        labour = labours.policy_evaluation(last=self.params.select_checkpoint.select == "best")
        yield self._stage(f"evaluate_policy@{name}", works["evaluate_policy"], labour)

    def _stage(self, name: str, work: Work | Reading | None, labour: Labour, *, disk: int = 0) -> PlannedStage:
        if work is None:
            return PlannedStage(name, disk=disk)
        held, trained = _parameters(work)
        fit = estimate_fit(work, self.conditions, limit=self.limit)
        return PlannedStage(name, held, trained, memory_parts(work, self.conditions), fit, disk, labour)

    def _weights(self, section: str, copies: int) -> int:
        """Bytes of so many policies as a stage writes them."""
        finetuning = self._finetuning(section)
        if finetuning.method == "lora":
            return copies * 4 * self.models.policy.size.adapter_weights(finetuning.lora_r)
        return copies * self.models.policy.weights * self.models.policy_number

    def _finetuning(self, section: str) -> Finetuning:
        optimize = self.params.optimize
        return {
            "train_sft": self.params.train_sft.finetuning,
            "optimize.dpo": optimize.dpo.finetuning,
            "optimize.ppo": optimize.ppo.finetuning,
            "optimize.hybrid": optimize.hybrid.finetuning,
        }[section]

    def checkpoints(self, method: str) -> list[int]:
        """Steps on the way at which a policy is kept."""
        optimize = self.params.optimize
        if method == "dpo":
            steps = supervised_steps(self.amounts.pairs["train"].count, optimize.dpo)
            return checkpoint_steps(steps, optimize.dpo.save_steps)
        settings = optimize.ppo if method == "ppo" else optimize.hybrid
        return checkpoint_steps(ppo_iterations(settings), settings.save_steps)


def _parameters(work: Work | Reading) -> tuple[int, int]:
    """Weights of all networks that are held, and of those that are trained."""
    if isinstance(work, Reading):
        return work.policies * work.policy.weights + (work.scorer.weights if work.scorer else 0), 0
    full = work.finetuning.method == "full"
    adapters = 0 if full else work.model.size.adapter_weights(work.finetuning.lora_r)
    networks = 1 + work.critics
    held = (networks + work.frozen) * work.model.weights + networks * adapters
    held += work.rollout.scorer.weights if work.rollout else 0
    return held, networks * (work.model.weights if full else adapters)
