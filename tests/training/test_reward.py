"""Reward-model training: from about ln 2 downwards, every weight moving, scores centred at the end."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.reward import RewardModel
from pipeline.models.reward_loading import create_reward_model, load_reward_model
from pipeline.objectives.preference import bradley_terry_loss
from pipeline.params.schema import Params, TrainReward
from pipeline.preferences.pair import PreferencePair
from pipeline.training.reward import (
    adopt_reward_model,
    different_pairs,
    pair_scores,
    reference_mean,
    train_reward,
)
from tests.preference_pairs import preference_pair
from tests.tiny_models import changed, save_bought_reward_model
from tests.training.recording import (
    Recorder,
    assert_only_trainable_parameters_changed,
    assert_same_bytes,
    pair_accuracy,
    snapshot,
)


@pytest.fixture
def settings(params: Params) -> TrainReward:
    return changed(
        params.train_reward,
        learning_rate=3e-3,
        warmup_ratio=0.0,
        num_train_epochs=6,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=1,
        max_length=48,
    )


@pytest.fixture(params=["encoder", "decoder"])
def backbone(request: pytest.FixtureRequest, encoder_folder: Path, decoder_folder: Path) -> Path:
    return encoder_folder if request.param == "encoder" else decoder_folder


def create(backbone: Path, compute: Compute, *, seed: int = 0) -> RewardModel:
    return create_reward_model(backbone, compute, max_length=48, seed=seed)


def train(
    model: RewardModel,
    pairs: list[PreferencePair],
    settings: TrainReward,
    compute: Compute,
    *,
    validation: list[PreferencePair] | None = None,
    seed: int = 0,
) -> Recorder:
    recorder = Recorder()
    train_reward(model, pairs, validation or [], settings, recorder.run(compute, seed=seed))
    return recorder


def test_the_loss_falls_from_about_ln_2_and_scores_end_centred(
    backbone: Path, compute: Compute, settings: TrainReward, text_pairs: list[PreferencePair]
) -> None:
    model = create(backbone, compute)
    recorder = train(model, text_pairs, settings, compute, validation=text_pairs[:2])
    losses = recorder.column("loss")
    # a random head on wide weights scores the two sides differently, either way
    assert 0.2 < losses[0] < 2.0
    assert losses[-1] < 0.1
    assert recorder.rows[-1]["accuracy"] == 1.0 and recorder.rows[-1]["margin"] > 2
    assert pair_accuracy(model, text_pairs) == 1.0
    assert reference_mean(model, text_pairs) == pytest.approx(0.0, abs=1e-5)
    assert not model.training


def test_a_silent_head_starts_at_exactly_ln_2(
    backbone: Path, compute: Compute, settings: TrainReward, text_pairs: list[PreferencePair]
) -> None:
    model = create(backbone, compute)
    torch.nn.init.zeros_(model.head.weight)
    first = train(model, text_pairs, settings, compute).rows[0]
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)
    # equal scores rank nothing right
    assert first["accuracy"] == 0.0


def test_every_trainable_parameter_changes(
    backbone: Path, compute: Compute, settings: TrainReward, text_pairs: list[PreferencePair]
) -> None:
    model = create(backbone, compute)
    before = snapshot(model)
    train(model, text_pairs, settings, compute)
    # Bradley-Terry sees differences only; the head's bias moves by the normalisation at the end
    assert_only_trainable_parameters_changed(model, before)


def test_validation_comes_once_an_epoch(
    encoder_folder: Path, compute: Compute, settings: TrainReward, text_pairs: list[PreferencePair]
) -> None:
    recorder = train(create(encoder_folder, compute), text_pairs[:6], settings, compute, validation=text_pairs[6:])
    assert recorder.steps == list(range(1, 13))
    assert ["validation_accuracy" in row for row in recorder.rows] == [False, True] * 6


def test_validation_measures_what_training_does(
    encoder_folder: Path, compute: Compute, settings: TrainReward, text_pairs: list[PreferencePair]
) -> None:
    model = create(encoder_folder, compute)
    recorder = train(model, text_pairs[:6], settings, compute, validation=text_pairs[6:])
    last = recorder.rows[-1]
    margins = torch.tensor([one - other for one, other in pair_scores(model, text_pairs[6:]).tolist()])
    losses = torch.log1p(torch.exp(-margins))
    assert last["validation_margin"] == pytest.approx(margins.mean().item(), rel=1e-4)
    assert last["validation_loss"] == pytest.approx(losses.mean().item(), rel=1e-4)
    assert last["validation_accuracy"] == pair_accuracy(model, text_pairs[6:])
    assert all(tokens > 0 for tokens in recorder.tokens)


def test_accumulation_equals_one_batch(
    backbone: Path, compute: Compute, settings: TrainReward, text_pairs: list[PreferencePair]
) -> None:
    recorders = []
    for size, accumulation in ((1, 8), (8, 1)):
        plan = changed(
            settings, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation, num_train_epochs=2
        )
        recorders.append(train(create(backbone, compute), text_pairs, plan, compute))
    for name in ("loss", "grad_norm", "margin"):
        assert recorders[0].column(name) == pytest.approx(recorders[1].column(name), rel=1e-3, abs=1e-5), name


def test_label_smoothing_raises_the_floor(
    encoder_folder: Path, compute: Compute, settings: TrainReward, text_pairs: list[PreferencePair]
) -> None:
    plan = changed(settings, label_smoothing=0.2)
    losses = train(create(encoder_folder, compute), text_pairs, plan, compute).column("loss")
    # the entropy of a label that is wrong one time in five
    assert min(losses) >= -(0.8 * math.log(0.8) + 0.2 * math.log(0.2)) - 1e-6


def test_the_same_seed_gives_the_same_bytes(
    backbone: Path, compute: Compute, settings: TrainReward, text_pairs: list[PreferencePair]
) -> None:
    models = []
    for seed in (0, 0, 1):
        models.append(create(backbone, compute, seed=seed))
        train(models[-1], text_pairs, changed(settings, num_train_epochs=2), compute, seed=seed)
    assert_same_bytes(models[0], models[1])
    with pytest.raises(AssertionError):
        assert_same_bytes(models[0], models[2])


def test_an_equal_score_is_not_an_accurate_one(encoder_folder: Path, compute: Compute) -> None:
    model = create(encoder_folder, compute)
    # two equal rows of a batch may round in different ways
    torch.nn.init.zeros_(model.head.weight)
    assert pair_accuracy(model, [preference_pair("", *["the film is dull"] * 2)]) == 0.0


def test_margins_ask_for_a_larger_gap(
    encoder_folder: Path, compute: Compute, settings: TrainReward, text_pairs: list[PreferencePair]
) -> None:
    pairs = [replace(pair, id=f"pair-{i}", margin=6.0) for i, pair in enumerate(text_pairs)]
    gaps = []
    for use_margin in (False, True):
        plan = changed(settings, use_margin=use_margin)
        gaps.append(train(create(encoder_folder, compute), pairs, plan, compute).rows[-1]["margin"])
    assert gaps[1] > gaps[0] + 0.5, gaps
    without = [*pairs[:3], replace(pairs[3], margin=None), *pairs[4:]]
    with pytest.raises(PipelineError, match="1 of 8 pairs have no margin, the first with id pair-3"):
        train(create(encoder_folder, compute), without, changed(settings, use_margin=True), compute)


def test_centering_keeps_the_sum_of_scores_small(
    encoder_folder: Path,
    compute: Compute,
    settings: TrainReward,
    text_pairs: list[PreferencePair],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    means: list[float] = []
    for centering_coef in (0.0, 1.0):
        model = create(encoder_folder, compute)
        model.shift(-3.0)
        shifts: list[float] = []
        monkeypatch.setattr(model, "shift", shifts.append)
        train(model, text_pairs, changed(settings, centering_coef=centering_coef), compute)
        # what training left for the normalisation to take away
        means += shifts
    assert abs(means[0]) > 2 and abs(means[1]) < 1, means


def test_problems_of_the_loss_are_said_when_training_ends(
    encoder_folder: Path,
    compute: Compute,
    settings: TrainReward,
    text_pairs: list[PreferencePair],
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = create(encoder_folder, compute)
    torch.nn.init.zeros_(model.head.weight)
    train(model, text_pairs, changed(settings, learning_rate=1e-12), compute)
    assert "The loss did not fall" in capsys.readouterr().out
    model = create(encoder_folder, compute)
    with torch.no_grad():
        model.head.weight.mul_(30)
    train(model, text_pairs, settings, compute)
    assert "far from ln 2" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["deberta", "roberta", "decoder"])
def test_a_bought_reward_model_is_shifted_and_otherwise_left_alone(
    decoder_folder: Path, tmp_path: Path, compute: Compute, text_pairs: list[PreferencePair], kind: str
) -> None:
    save_bought_reward_model(tmp_path / "bought", kind, decoder_folder)
    model = load_reward_model(tmp_path / "bought", compute, max_length=32)
    before = pair_scores(model, text_pairs)
    found = adopt_reward_model(model, text_pairs)
    after = pair_scores(model, text_pairs)
    assert before.std() > 1e-3
    assert after.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert torch.allclose(after - before, -before.mean().expand_as(before), atol=1e-5)
    assert found["training_pairs_loss"] == pytest.approx(bradley_terry_loss(*before.unbind(1)).mean().item(), abs=1e-6)
    model.save(tmp_path / "adopted")
    assert torch.allclose(pair_scores(load_reward_model(tmp_path / "adopted", compute), text_pairs), after, atol=1e-6)


def test_pairs_that_are_read_alike_are_left_out(decoder_folder: Path, compute: Compute) -> None:
    """A text that is too long loses its start: these differ in nothing else."""
    same = " and so did I, and the ending is clever and the jokes are funny and my friends hated it"
    cut = preference_pair("", f"great{same}", f"awful{same}")
    other = preference_pair("", f"great{same}", f"{same} dull")
    texts = create_reward_model(decoder_folder, compute, max_length=8, seed=0).texts
    assert different_pairs(texts, [cut, other]) == [other]
    longer = create_reward_model(decoder_folder, compute, max_length=100, seed=0).texts
    assert different_pairs(longer, [cut, other]) == [cut, other]
    with pytest.raises(PipelineError, match=r"all 1 pairs .* train_reward\.max_length"):
        different_pairs(texts, [cut])


def test_validation_pairs_that_are_read_alike_are_not_measured(
    decoder_folder: Path, text_pairs: list[PreferencePair], settings: TrainReward, compute: Compute
) -> None:
    same = " and so did I, and the ending is clever and the jokes are funny and my friends hated it"
    alike = preference_pair("", f"great{same}", f"awful{same}")
    found = []
    for validation in (text_pairs[6:], [*text_pairs[6:], alike]):
        model = create_reward_model(decoder_folder, compute, max_length=12, seed=0)
        last = train(model, text_pairs[:6], settings, compute, validation=validation).rows[-1]
        found.append({name: value for name, value in last.items() if name.startswith("validation_")})
    assert found[0] and found[0] == pytest.approx(found[1], rel=1e-4)
