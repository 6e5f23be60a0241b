"""An engine is opened where `sampling.engine` asks for it, and forgets at its end."""

from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from transformers import PreTrainedTokenizerBase

from pipeline.models.chunked_sampling import sample_prompts
from pipeline.models.sampling import Sampler
from pipeline.params.schema import Params
from pipeline.scripts.engine import sampling_engine
from tests.conftest import PolicyMaker
from tests.engines.stand_in import StandIn, serving
from tests.tiny_models import LORA, changed


def test_a_stage_opens_what_its_sampling_asks_for(
    params: Params, make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, policy_folder: Path, tmp_path: Path
) -> None:
    with serving(StandIn(policy_folder)) as server, ExitStack() as held:
        settings = server.settings(Path("state/adapters"))
        stage: Any = SimpleNamespace(engine_server=settings, home=tmp_path, keep_open=held.enter_context)
        assert sampling_engine(stage, params.sampling) is None
        sampling = changed(params.sampling, engine="vllm", max_new_tokens=2)
        sampler = Sampler.of(make_policy(LORA), tokenizer, sampling, engine=sampling_engine(stage, sampling))
        assert len(sample_prompts(sampler, [[5, 6]], key=0)) == 1
        (folder,) = (tmp_path / "state/adapters").iterdir()
        assert server.adapters == {folder.name: folder}
        held.close()
        assert server.adapters == {} and not folder.exists()
