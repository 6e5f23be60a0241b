"""check: everything that can be known of data and parameters, before the first model is trained."""

from pipeline.check.project import check_project
from pipeline.check.settings import BatchSizes, MaxLengths, Settings
from pipeline.check.text import render, verdict
from pipeline.errors import PipelineError
from pipeline.params.loading import PARAMS_FILE
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage) -> None:
    """Look, tell, and stop where the run would stop later; what is written is always the same."""
    findings = check_project(_settings(stage), stage.root / ".state/check/policy")
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
        judge_model=stage.params.judge.reward_model,
        judge_chat=stage.params.judge.chat,
        endpoint=stage.judge_endpoint,
        stop_tokens=stage.params.sampling.stop_tokens,
        methods=stage.params.optimize.methods,
        policies=len(stage.params.optimize.methods) * len(stage.params.optimize.seeds),
        critic=stage.params.optimize.ppo.critic,
        lengths=MaxLengths(
            sft=stage.params.train_sft.max_length,
            reward=stage.params.train_reward.max_length,
            reference=stage.params.score_reference.max_length,
            new_tokens=stage.params.sampling.max_new_tokens,
        ),
        batches=_batches(stage),
    )


def _batches(stage: Stage) -> BatchSizes:
    rollout = stage.params.optimize.ppo.rollout_batch_size
    return BatchSizes(
        sft=stage.params.train_sft.per_device_train_batch_size * stage.params.train_sft.gradient_accumulation_steps,
        reward=stage.params.train_reward.per_device_train_batch_size
        * stage.params.train_reward.gradient_accumulation_steps,
        dpo=stage.params.optimize.dpo.per_device_train_batch_size
        * stage.params.optimize.dpo.gradient_accumulation_steps,
        rollout=rollout,
        rollout_prompts=rollout // stage.params.optimize.ppo.samples_per_prompt,
    )


if __name__ == "__main__":
    run_stage(main, description=__doc__)
