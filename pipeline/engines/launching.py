"""The command that starts a server which can sample for this pipeline."""

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as --max-lora-rank."""


def served_rank(rank: int) -> int:
    """The smallest --max-lora-rank for adapters of a rank; their own where none is large enough."""
    return next((one for one in _RANKS if one >= rank), rank)


def serve_command(model: str, *, rank: int) -> str:
    """One line for a shell, see docs/operations.md.

    Args:
        model: folder of the whole model that adapters lie on.
        rank: of the adapters that are handed over, summed where they lie on each other.
    """
    return (
        f"VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve {model} --enable-lora --max-lora-rank {served_rank(rank)} "
        "--logprobs-mode processed_logprobs"
    )
