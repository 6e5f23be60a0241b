"""The process environment of stages and commands: allocator, hash seed, telemetry, timeouts."""

import os
from collections.abc import Mapping

ENVIRONMENT = {
    # PEFT and others iterate over sets, whose order follows the hash seed
    "PYTHONHASHSEED": "0",
    # glibc gives large blocks back to the kernel and faults them in again: a third of a training step on a CPU
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
    # glibc does not join a small block that is freed with what is beside it, but keeps it for later, in the cache of a
    # thread (tcache) and in fast bins. Such blocks cut the places that freed tensors leave, so that the next tensor of
    # the same size finds none: from pass to pass a training grew by up to a third. Without both it is as fast.
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0",
    # oneDNN, which multiplies bf16 on a CPU, keeps 1,024 programs, each for a shape, and torch as many beside it:
    # hundreds of MiB. These are enough for the shapes of a stage.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256",
    "LRU_CACHE_CAPACITY": "1",
    # OpenMP threads that wait for each other spin; on a machine that also does other things, that made sampling
    # ten times slower. After about a thousandth of a second they now sleep instead.
    "GOMP_SPINCOUNT": "3000",
    # deterministic matrix products on a GPU
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "TOKENIZERS_PARALLELISM": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # the store announces every table that it creates
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # it would print the address of a run, with the password that a tracking URI may hold
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DVC_NO_ANALYTICS": "true",
    # a tracking server that is down must cost seconds, not minutes a call
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}

_DECIDES_RESULTS = ("PYTHONHASHSEED", "CUBLAS_WORKSPACE_CONFIG")


def stage_environment(shell: Mapping[str, str]) -> dict[str, str]:
    """The environment of a stage: what the shell has set, and the rest of the above.

    What decides results is that of the above in any case.
    """
    return {**ENVIRONMENT, **shell, **{name: ENVIRONMENT[name] for name in _DECIDES_RESULTS}}


def set_environment() -> None:
    """Give this process what the launch gives a stage, as far as it can be set from inside: no telemetry, timeouts.

    What the shell has set stays.
    """
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
