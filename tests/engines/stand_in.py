"""A server in this process that speaks `vllm serve`'s interface as vLLM's source defines it, over a tiny real model.

Of vllm/entrypoints/openai/: completion/protocol.py (`CompletionRequest`, `CompletionResponse`), models/serving.py
(/v1/models, /v1/load_lora_adapter, /v1/unload_lora_adapter and their errors), serve/lora/api_router.py (no such routes
without VLLM_ALLOW_RUNTIME_LORA_UPDATING). It draws as v1/sample/sampler.py does: logits over temperature, top-k, top-p,
and the largest p / q with q exponential from a generator that the request's seed starts; log-probs are raw or
processed. Adapters are read by PEFT, which knows nothing of how this project stacks them.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM

from pipeline.params.endpoint import EngineServer
from tests.loopback import loopback_server

FIELDS = frozenset(
    {
        "model", "prompt", "seed", "max_tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty",
        "presence_penalty", "frequency_penalty", "ignore_eos", "stop_token_ids", "logprobs", "return_token_ids",
        "return_tokens_as_token_ids", "stop", "n", "min_tokens", "skip_special_tokens",
    }
)  # fmt: skip
"""Of a request; there are more, and a misspelt one would do nothing."""


@dataclass
class StandIn:
    """What is served, how the server was started, and what it was asked."""

    model: Path
    logprobs_mode: str = "processed_logprobs"
    max_lora_rank: int = 16
    enable_lora: bool = True
    updating: bool = True
    max_model_len: int = 128
    stale: bool = False
    """The adapter that was loaded first answers for all later ones."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Of each choice, as another server or a proxy would answer."""
    faults: list[int] = field(default_factory=list)
    """Status codes of the next completions."""
    port: int = 0
    requests: list[dict[str, Any]] = field(default_factory=list)
    adapters: dict[str, Path] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Adapters that were loaded and unloaded, in their order."""

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self._networks: dict[str, Any] = {"": self._load()}
        self._known: dict[tuple[int, ...], Tensor] = {}

    def settings(self, folder: Path, **changes: Any) -> EngineServer:
        """How to reach it, with short waits."""
        values = {
            "base_url": f"http://127.0.0.1:{self.port}/v1",
            "key_variable": "VLLM_TEST_KEY",
            "adapters": str(folder),
            "timeout_seconds": 20.0,
            "max_retries": 2,
            "first_retry_seconds": 0.01,
            "concurrency": 4,
        }
        return EngineServer.model_validate(values | changes)

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Status and answer; a text where vLLM's is one."""
        if path == "/v1/models":
            cards = [{"id": "base", "root": str(self.model), "parent": None, "max_model_len": self.max_model_len}]
            cards += [{"id": name, "root": str(at), "parent": "base"} for name, at in self.adapters.items()]
            return 200, {"object": "list", "data": cards}
        if path == "/v1/completions":
            return self._complete(body)
        if self.updating and path in ("/v1/load_lora_adapter", "/v1/unload_lora_adapter"):
            return self._adapters(path, body)
        return 404, {"detail": "Not Found"}

    def _adapters(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        name = body["lora_name"]
        if path == "/v1/unload_lora_adapter":
            if name not in self.adapters:
                return _error(404, f"The lora adapter '{name}' cannot be found.")
            self.calls.append(("unload", name))
            del self.adapters[name]
            return 200, f"Success: LoRA adapter '{name}' removed successfully."
        folder = Path(body["lora_path"])
        if name in self.adapters:
            return _error(
                400, f"The lora adapter '{name}' has already been loaded. If you want to load the adapter ..."
            )
        if not self.enable_lora:
            return _error(500, "LoRA is not enabled. Use --enable-lora to enable LoRA.")
        if not (folder / "adapter_config.json").is_file():
            return _error(404, f"Loading lora {name} failed: No adapter found for {folder}")
        rank = json.loads((folder / "adapter_config.json").read_text())["r"]
        if rank > self.max_lora_rank:
            return _error(500, f"LoRA rank {rank} is greater than max_lora_rank {self.max_lora_rank}.")
        self.calls.append(("load", name))
        self.adapters[name] = folder
        known = next((one for one in self._networks if one), None)
        same = self.stale and known is not None
        self._networks[name] = self._networks[known] if same else PeftModel.from_pretrained(self._load(), folder)
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def _complete(self, body: dict[str, Any]) -> tuple[int, Any]:
        self.requests.append(body)
        if self.faults:
            return _error(self.faults.pop(0), "as the test says")
        if unknown := set(body) - FIELDS:
            return _error(400, f"unknown fields: {sorted(unknown)}")
        name = body["model"]
        if name != "base" and name not in self.adapters:
            return _error(404, f"The model `{name}` does not exist.")
        ids, rows, reason = self._sample(self._networks["" if name == "base" else name], body)
        logprobs = {"tokens": [], "token_logprobs": [], "top_logprobs": []}
        for token, row in zip(ids, rows, strict=True):
            best = dict.fromkeys([token, *row.topk(body["logprobs"]).indices.tolist()])
            logprobs["tokens"].append(f"token_id:{token}")
            logprobs["token_logprobs"].append(max(row[token].item(), -9999.0))
            logprobs["top_logprobs"].append({f"token_id:{one}": max(row[one].item(), -9999.0) for one in best})
        choice = {"index": 0, "text": "", "logprobs": logprobs, "finish_reason": reason}
        if body.get("return_token_ids"):
            choice |= {"token_ids": ids, "prompt_token_ids": body["prompt"]}
        changed = {key: value for key, value in self.changes.items() if key != "model"}
        model = self.changes.get("model", name)
        return 200, {"object": "text_completion", "model": model, "choices": [{**choice, **changed}], "usage": {}}

    @torch.no_grad()
    def _sample(self, network: Any, body: dict[str, Any]) -> tuple[list[int], list[Tensor], str]:
        generator = torch.Generator().manual_seed(body["seed"])
        ids: list[int] = []
        rows = []
        limit = min(body["max_tokens"], self.max_model_len - len(body["prompt"]))
        while len(ids) < limit:
            raw = self._logits(network, body["prompt"] + ids)
            logits = _kept(raw / body["temperature"], body["top_k"], body["top_p"])
            noise = torch.empty_like(logits).exponential_(generator=generator)
            ids.append(int((logits.softmax(-1) / noise).argmax()))
            rows.append((raw if self.logprobs_mode == "raw_logprobs" else logits).log_softmax(-1))
            if ids[-1] in body.get("stop_token_ids", ()):
                return ids, rows, "stop"
        return ids, rows, "length"

    def _logits(self, network: Any, ids: list[int]) -> Tensor:
        """Of the next token; many ask for the same."""
        key = (id(network), *ids)
        if key not in self._known:
            self._known[key] = network(torch.tensor([ids])).logits[0, -1].float()
        return self._known[key]

    def _load(self) -> Any:
        return AutoModelForCausalLM.from_pretrained(self.model, dtype=torch.float32)


def _kept(logits: Tensor, top_k: int, top_p: float) -> Tensor:
    if top_k > 0:
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    if top_p < 1:
        ordered, order = logits.sort()
        dropped = ordered.softmax(-1).cumsum(-1) <= 1 - top_p
        logits = logits.masked_fill(torch.zeros_like(dropped).scatter(0, order, dropped), -torch.inf)
    return logits


def _error(status: int, message: str) -> tuple[int, Any]:
    return status, {"error": {"message": message, "type": "Error", "param": None, "code": status}}


@contextmanager
def serving(stand_in: StandIn) -> Iterator[StandIn]:
    """Run it on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply("GET", {})

        def do_POST(self) -> None:
            self._reply("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _reply(self, method: str, body: dict[str, Any]) -> None:
            with stand_in.lock:
                status, answer = stand_in.answer(method, self.path, body)
            text = answer if isinstance(answer, str) else json.dumps(answer)
            self.send_response(status)
            if not isinstance(answer, str):
                self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: Any) -> None:
            """Silent."""

    with loopback_server(Handler, port=stand_in.port) as stand_in.port:
        yield stand_in
