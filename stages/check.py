"""check: everything that can be known of data and parameters, before the first model is trained."""

from pipeline.check.project import check_project
from pipeline.check.settings import DpoSizes, MaxLengths, PpoSizes, Settings, SupervisedSizes, Trainings
from pipeline.check.text import render, verdict
from pipeline.errors import PipelineError
from pipeline.params.loading import PARAMS_FILE
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage) -> None:
    """Look, tell, and stop where the run would stop later; what is written is always the same."""
    findings = check_project(_settings(stage), stage.root, stage.root / ".state/check/policy")
    print(render(findings, stage.root / PARAMS_FILE), flush=True)
    if findings.errors:
        raise PipelineError(f"{verdict(findings)} They are above; the first: {findings.errors[0]}")
    # no counts: what follows runs again when data or parameters change it, not because they were looked at
    stage.write_json("artifacts/check.json", {"passed": True})
    stage.log_final({"warnings": len(findings.warnings)})


def _settings(stage: Stage) -> Settings:
    return Settings(
        seed=stage.params.seed,
        models=stage.params.models,
        candidates=stage.params.evaluate_reward.candidates,
        data=stage.params.data,
        collect=stage.params.collect_preferences,
        contract=stage.params.validate_preferences,
        judge_kind=stage.params.judge.kind,
        second_judge=stage.params.judge.second,
        judge_model=stage.params.judge.reward_model,
        judge_chat=stage.params.judge.chat,
        endpoint=stage.judge_endpoint,
        stop_tokens=stage.params.sampling.stop_tokens,
        methods=stage.params.optimize.methods,
        policies=len(stage.params.optimize.methods) * len(stage.params.optimize.seeds),
        lengths=MaxLengths(
            sft=stage.params.train_sft.max_length,
            reward=stage.params.train_reward.max_length,
            reference=stage.params.score_reference.max_length,
            new_tokens=stage.params.sampling.max_new_tokens,
        ),
        trainings=_trainings(stage),
        runtime=stage.params.runtime,
    )


def _trainings(stage: Stage) -> Trainings:
    """Key by key, so that a change of others, such as a learning rate, checks nothing again."""
    return Trainings(
        sft=SupervisedSizes(
            finetuning=stage.params.train_sft.finetuning,
            per_device_train_batch_size=stage.params.train_sft.per_device_train_batch_size,
            gradient_accumulation_steps=stage.params.train_sft.gradient_accumulation_steps,
        ),
        reward=SupervisedSizes(
            finetuning=stage.params.train_reward.finetuning,
            per_device_train_batch_size=stage.params.train_reward.per_device_train_batch_size,
            gradient_accumulation_steps=stage.params.train_reward.gradient_accumulation_steps,
        ),
        dpo=DpoSizes(
            finetuning=stage.params.optimize.dpo.finetuning,
            per_device_train_batch_size=stage.params.optimize.dpo.per_device_train_batch_size,
            gradient_accumulation_steps=stage.params.optimize.dpo.gradient_accumulation_steps,
            reference=stage.params.optimize.dpo.reference,
        ),
        ppo=PpoSizes(
            finetuning=stage.params.optimize.ppo.finetuning,
            per_device_train_batch_size=stage.params.optimize.ppo.per_device_train_batch_size,
            rollout_batch_size=stage.params.optimize.ppo.rollout_batch_size,
            samples_per_prompt=stage.params.optimize.ppo.samples_per_prompt,
            advantage_estimator=stage.params.optimize.ppo.advantage_estimator,
            critic=stage.params.optimize.ppo.critic,
        ),
        hybrid=PpoSizes(
            finetuning=stage.params.optimize.hybrid.finetuning,
            per_device_train_batch_size=stage.params.optimize.hybrid.per_device_train_batch_size,
            rollout_batch_size=stage.params.optimize.hybrid.rollout_batch_size,
            samples_per_prompt=stage.params.optimize.hybrid.samples_per_prompt,
            advantage_estimator=stage.params.optimize.hybrid.advantage_estimator,
            critic=stage.params.optimize.hybrid.critic,
        ),
    )


if __name__ == "__main__":
    run_stage(main, description=__doc__)
