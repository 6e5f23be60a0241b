"""train_reward: train the reward model on accepted pairs."""

from pipeline.models.reward_loading import load_reward_model, texts_of_finished
from pipeline.models.reward_texts import END_UNSEEN
from pipeline.models.text_format import OWN_TEMPLATE, read_text_format, store_text_format
from pipeline.preferences.pair import passages_of, read_pairs
from pipeline.project.hashing import content_size
from pipeline.scripts.reward_model import start_reward_model
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage
from pipeline.training.reward import adopt_reward_model, different_pairs, shrink_fresh_head, train_reward
from pipeline.training.run import TrainingRun


def main(stage: Stage) -> None:
    """Train, normalise to mean 0, save."""
    settings, seed = stage.params.train_reward, stage.params.seed
    backbone = stage.input("artifacts/models/reward_backbone")
    compute = stage.start_compute(output_bytes=content_size(backbone))
    known, validation = (
        read_pairs(stage.input(f"artifacts/preferences/accepted/{split}.jsonl")) for split in ("train", "validation")
    )
    texts = read_text_format(stage.input("artifacts/data/text_format.json"))
    finished = stage.params.models.reward_backbone.is_reward_model
    if finished:
        texts = texts_of_finished(backbone, texts)
        model = load_reward_model(backbone, compute, max_length=settings.max_length, texts=texts)
    else:
        model = start_reward_model(stage, backbone, known, compute, texts)
    if not model.texts.shows_end:
        print(f"warning: {END_UNSEEN}", flush=True)
    pairs = known if finished else different_pairs(model.texts, known)
    if equal := len(known) - len(pairs):
        print(
            f"{equal} pairs are left out: in {settings.max_length} tokens the model reads both texts alike", flush=True
        )
    truncated = model.texts.truncated(passages_of(pairs))
    print(f"{len(pairs)} pairs, {truncated} texts longer than {settings.max_length} tokens", flush=True)
    if finished:
        print("a finished reward model: nothing is trained", flush=True)
        if texts.own_template:
            print(OWN_TEMPLATE, flush=True)
        stage.log_step(0, adopt_reward_model(model, pairs))
    else:
        if (factor := shrink_fresh_head(model, pairs)) < 1:
            print(f"the fresh head is multiplied by {factor:.3g}: its margins were large", flush=True)
        run = TrainingRun(compute, seed, stage.log_step, stage.costs.add_work, resume=stage.resume)
        train_reward(model, pairs, validation, settings, run)
    stage.only_first_goes_on()
    folder = stage.output("artifacts/reward_model")
    model.save(folder)
    store_text_format(folder, texts)
    stage.write_history("reports/training/train_reward.jsonl")
    stage.log_final({"pairs": len(pairs), "equal_pairs": equal, "truncated_texts": truncated})


if __name__ == "__main__":
    run_stage(main, description=__doc__)
