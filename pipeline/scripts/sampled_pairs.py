"""Pairs that a judge ranks among samples of the SFT policy, sampled once the memory is known to suffice."""

from collections.abc import Sequence

from pipeline.judges.loading import load_judge
from pipeline.memory.fitting import check_fit
from pipeline.memory.readings import collection
from pipeline.memory.trainings import prompt_tokens
from pipeline.memory.work import Model
from pipeline.models.drawing import Truncation
from pipeline.models.folders import config_of
from pipeline.models.policy import load_policy, load_tokenizer
from pipeline.models.sampling import Sampler
from pipeline.preferences.collected import Collected
from pipeline.preferences.prompts import SplitPrompt
from pipeline.preferences.sampled import collect_ranked, sample_responses
from pipeline.scripts.engine import sampling_engine
from pipeline.seeding import torch_generator
from pipeline.stage.execution import Stage


def collect_sampled(stage: Stage, prompts: Sequence[SplitPrompt]) -> Collected:
    """Sample several responses to each prompt, and let the judge rank them.

    Raises:
        PipelineError: the memory does not suffice.
    """
    settings, compute = stage.params.collect_preferences, stage.start_compute()
    stage.input("artifacts/models/policy")  # which the adapters of SFT lie on
    folder = stage.input("artifacts/sft")
    generator = torch_generator(stage.params.seed, "collect_preferences/samples")
    tokenizer = load_tokenizer(folder)
    lengths = prompt_tokens(tokenizer, [prompt.prompt for prompt in prompts])
    samples = len(prompts) * settings.samples_per_prompt
    network = Model.of(config_of(folder), writes=True)
    check_fit(collection(network, stage.params.sampling, prompts=lengths, samples=samples), stage.params.runtime)
    sampler = Sampler.of(
        load_policy(folder, compute, finetuning=None),
        tokenizer,
        stage.params.sampling,
        truncation=Truncation(settings.top_k, settings.top_p),
        engine=sampling_engine(stage, stage.params.sampling),
    )
    sampled = sample_responses(
        sampler, prompts, copies=settings.samples_per_prompt, generator=generator, resume=stage.resume
    )
    stage.costs.add_work(sampled.tokens, sampled.seconds)
    judge = load_judge(
        stage.input("artifacts/judge"), compute, endpoint=stage.judge_endpoint, store=stage.verdict_store
    )
    return collect_ranked(prompts, sampled.responses, judge, settings)
