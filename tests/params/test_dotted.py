from pipeline.params.dotted import declared


def test_a_stage_declares_keys_and_whole_sections() -> None:
    values = {"seed": 0, "sampling.temperature": 1.0, "sampling_more.x": 2, "train_sft.epochs": 1, "train_sft.rate": 2}
    assert declared(["seed", "sampling", "train_sft.rate"], values) == {
        "seed": 0,
        "sampling.temperature": 1.0,
        "train_sft.rate": 2,
    }
