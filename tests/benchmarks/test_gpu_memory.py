"""The table of trainings and GPUs, on a small model."""

from benchmarks.gpu_memory import CARDS, SERIES, cells, llama, works
from pipeline.params.loading import load_params

SMALL = llama(64, 128, 2, 4, 2, tied=True)


def test_every_training_of_the_table_is_planned_and_fits_with_a_small_model() -> None:
    params = load_params()
    for kinds in SERIES:
        for _, changes in kinds:
            trainings = works(params, SMALL, **changes)
            assert list(trainings) == ["SFT", "reward model", "DPO", "PPO", "PPO, 32 episodes"]
            for work in trainings.values():
                row = cells(params, work)
                assert len(row) == len(CARDS) and all(float(cell) > 0 for cell in row)
