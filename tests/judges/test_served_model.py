"""A real chat model behind a real server: `transformers serve` with a model of two layers."""

import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM
from transformers.cli.serve import Serve

from pipeline.judges.loading import open_chat_judge
from pipeline.judges.rules import ChatRules
from pipeline.params.judge import JudgeEndpoint
from pipeline.params.schema import Params
from tests.passages import ended
from tests.tiny_models import byte_level_tokenizer, changed, llama_config

_VERDICT = "[[B]]"
_TEMPLATE = "{% for message in messages %}<s>{{ message.role }}: {{ message.content }}</s>{% endfor %}<s>assistant: "


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat model that says one word for ever: its states are one vector, and so is the row of that word."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = byte_level_tokenizer()
    tokenizer.add_tokens([_VERDICT])
    tokenizer.chat_template = _TEMPLATE
    config = llama_config(tokenizer, vocab_size=len(tokenizer), max_position_embeddings=4096)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.zero_() if "norm" not in name else weight.fill_(1.0)
        model.get_input_embeddings().weight.fill_(1.0)
        model.lm_head.weight[tokenizer.convert_tokens_to_ids(_VERDICT)] = 1.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def address(model_folder: Path) -> Iterator[str]:
    """Of a server on the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Serve(force_model=str(model_folder), device="cpu", host="127.0.0.1", port=port, non_blocking=True)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    deadline = time.monotonic() + 300
    while not server.server.started and time.monotonic() < deadline:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/v1"
    server.kill_server()


def test_a_served_model_judges_and_a_second_run_asks_nothing(
    model_folder: Path, address: str, params: Params, tmp_path: Path
) -> None:
    endpoint = changed(params.judge.endpoint, base_url=address, key_variable="NO_KEY_IS_SET", max_retries=0)
    request = {"temperature": 0.0, "max_tokens": 3}
    rules = ChatRules.of(changed(params.judge.chat, model=str(model_folder), request=request))

    def judged(endpoint: JudgeEndpoint) -> tuple[list[float], dict[str, float], list[dict[str, object]]]:
        judge = open_chat_judge(rules, endpoint=endpoint, store=tmp_path)
        found = judge.compare(
            ["The film", "The plot"], ended([" is fine", " is thin"]), ended([" is dull", " is thin"])
        )
        return found.tolist(), judge.counts(), judge.verdicts()

    preferences, counts, verdicts = judged(endpoint)
    assert preferences == [0.5, 0.5]
    assert (counts["both_second"], counts["identical"], counts["position_bias"]) == (1, 1, -1.0)
    assert verdicts[0]["replies"] == [_VERDICT * 3]
    assert judged(changed(endpoint, base_url="http://127.0.0.1:9/v1")) == (preferences, counts, verdicts)
