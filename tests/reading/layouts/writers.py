"""Preferences in the shape of each layout, by a writer for each that knows nothing of its reader."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.reading.layouts.texts import say


@dataclass(frozen=True)
class Preference:
    """Responses to a conversation and how good each is; more is better, equal is a tie."""

    turns: tuple[str, ...]
    """Of user and assistant, ending with the user."""
    responses: tuple[str, ...]
    """Two or more, all different."""
    goodness: tuple[int, ...]
    system: str = ""

    @property
    def prompt(self) -> str:
        return self.turns[-1]

    @property
    def two(self) -> tuple[int, int]:
        return self.goodness[0], self.goodness[1]

    def by_sign(self, first: Any, second: Any, tie: Any) -> Any:
        """A code for which of the first two is better."""
        return tie if self.two[0] == self.two[1] else first if self.two[0] > self.two[1] else second

    @property
    def sorted_pair(self) -> tuple[str, str]:
        """The better and the worse of the first two; as they come where they are equal."""
        first, second = self.responses[:2]
        return (second, first) if self.two[1] > self.two[0] else (first, second)

    @property
    def messages(self) -> list[dict[str, str]]:
        before = [{"role": "system", "content": self.system}] if self.system else []
        return [*before, *say(*self.turns)]


def reply(text: str) -> list[dict[str, str]]:
    return say(text, first="assistant")


Writer = Callable[[Preference], dict[str, Any]]


def _named(prompt: str, first: str, second: str, winner: str, codes: Sequence[Any], **more: Any) -> Writer:
    """A prompt, two responses and a code."""

    def write(one: Preference) -> dict[str, Any]:
        return {
            prompt: one.prompt,
            first: one.responses[0],
            second: one.responses[1],
            winner: one.by_sign(*codes),
            **more,
        }

    return write


def _sorted(prompt: str, chosen: str, rejected: str, **more: Any) -> Writer:
    return lambda one: {prompt: one.prompt, chosen: one.sorted_pair[0], rejected: one.sorted_pair[1], **more}


def _scored(prompt: str, name: str, response: str, score: str, value: Callable[[int], Any]) -> Writer:
    """A list of objects, each with a response and its score."""

    def write(one: Preference) -> dict[str, Any]:
        found = zip(one.responses, one.goodness, strict=True)
        return {prompt: one.prompt, name: [{response: text, score: value(good)} for text, good in found]}

    return write


def _openai(one: Preference) -> dict[str, Any]:
    chosen, rejected = map(reply, one.sorted_pair)
    return {"input": {"messages": one.messages}, "preferred_output": chosen, "non_preferred_output": rejected}


def _shp(one: Preference) -> dict[str, Any]:
    scores = {"score_A": one.two[0], "score_B": one.two[1]}
    return _named("history", "human_ref_A", "human_ref_B", "labels", (1, 0, 1), **scores)(one)


def _webgpt(one: Preference) -> dict[str, Any]:
    score = one.two[0] - one.two[1]
    answers = {"answer_0": one.responses[0], "answer_1": one.responses[1]}
    return {"question": {"full_text": one.prompt}, **answers, "score_0": score / 9, "score_1": -score / 9}


def _helpsteer3(one: Preference) -> dict[str, Any]:
    strength = {"overall_preference": max(-3, min(3, one.two[1] - one.two[0]))}
    return {"context": one.messages, "response1": one.responses[0], "response2": one.responses[1], **strength}


def _summarize(one: Preference) -> dict[str, Any]:
    summaries = [{"text": text} for text in one.responses[:2]]
    return {"info": {"article": one.prompt}, "summaries": summaries, "choice": one.by_sign(0, 1, 0), "worker": "w"}


def _ms_swift(one: Preference) -> dict[str, Any]:
    return {"messages": [*one.messages, *reply(one.sorted_pair[0])], "rejected_response": one.sorted_pair[1]}


def _messages(one: Preference) -> dict[str, Any]:
    chosen, rejected = (reply(text)[0] for text in one.sorted_pair)
    return {"messages": one.messages, "chosen": chosen, "rejected": rejected}


def _system(prompt: str, chosen: str, rejected: str) -> Writer:
    def write(one: Preference) -> dict[str, Any]:
        history = [list(pair) for pair in zip(one.turns[:-1:2], one.turns[1:-1:2], strict=True)]
        return {"system": one.system, "history": history, **_sorted(prompt, chosen, rejected)(one)}

    return write


def _lmsys(one: Preference) -> dict[str, Any]:
    answers = list(one.turns[1::2])
    responses = {f"response_{side}": json.dumps([*answers, one.responses["ab".index(side)]]) for side in "ab"}
    won = one.by_sign("winner_model_a", "winner_model_b", "winner_tie")
    columns = ("winner_model_a", "winner_model_b", "winner_tie")
    return {"prompt": json.dumps(one.turns[::2]), **responses, **{name: int(name == won) for name in columns}}


def _distilabel(one: Preference) -> dict[str, Any]:
    return {"instruction": one.prompt, "generations": list(one.responses), "ratings": list(one.goodness)}


def _lists(prompt: str, better: str, worse: str) -> Writer:
    return lambda one: {prompt: one.prompt, better: [one.sorted_pair[0]], worse: [one.sorted_pair[1]]}


def _label_studio(one: Preference) -> dict[str, Any]:
    sides = [one.by_sign("left", "right", side) for side in ("left", "right")]
    results = [[{"type": "pairwise", "to_name": "one,two", "value": {"selected": side}}] for side in sides]
    data = {"two": one.responses[1], "prompt": one.prompt, "one": one.responses[0]}
    return {"data": data, "annotations": [{"result": result} for result in results]}


_RATED = {"correctness": 0, "coherence": 0, "complexity": 0, "verbosity": 0}
WRITERS: dict[str, Writer] = {
    "openai_preference": _openai,
    "pku_saferlhf": _named("prompt", "response_0", "response_1", "better_response_id", (0, 1, 0)),
    "auto_j": _named("prompt", "response 1", "response 2", "label", (0, 1, 2), scenario="s"),
    "webgpt_comparisons": _webgpt,
    "shp": _shp,
    "helpsteer2_preference": _named("prompt", "response_1", "response_2", "preference_strength", (-2, 1, 0)),
    "helpsteer3_preference": _helpsteer3,
    "nectar": _scored("prompt", "answers", "answer", "rank", lambda good: float(9 - good)),
    "stack_exchange_preferences": _scored("question", "answers", "text", "pm_score", int),
    "stack_exchange_paired": _sorted("question", "response_j", "response_k"),
    "judge_bench": _named("question", "response_A", "response_B", "label", ("A>B", "B>A", "A>B")),
    "rm_bench": _lists("prompt", "chosen", "rejected"),
    "summarize_from_feedback": _summarize,
    "ms_swift": _ms_swift,
    "messages_pairs": _messages,
    "system_pairs": _system("question", "chosen", "rejected"),
    "ms_swift_query": _system("query", "response", "rejected_response"),
    "lmsys_kaggle": _lmsys,
    "ultrafeedback": _scored("instruction", "completions", "response", "overall_score", float),
    "distilabel_ratings": _distilabel,
    "pos_neg": _lists("query", "pos", "neg"),
    "label_studio_pairwise": _label_studio,
}
"""One for each layout with a preference a row."""
WITHOUT_TIES = frozenset(
    {
        *("openai_preference", "pku_saferlhf", "shp", "stack_exchange_paired", "judge_bench", "rm_bench"),
        *("summarize_from_feedback", "ms_swift", "messages_pairs", "system_pairs", "ms_swift_query", "pos_neg"),
    }
)
"""Layouts that have no way to write that two are equally good."""
RANKED = frozenset({"nectar", "stack_exchange_preferences", "ultrafeedback", "distilabel_ratings"})
"""Layouts with more than two responses a row."""
TALKS = frozenset(
    {
        *("openai_preference", "helpsteer3_preference", "ms_swift", "messages_pairs", "system_pairs"),
        *("ms_swift_query", "lmsys_kaggle"),
    }
)
"""Layouts with earlier turns."""


def rate(one: Preference) -> list[dict[str, Any]]:
    """A row for each response, as HelpSteer has them."""
    found = zip(one.responses, one.goodness, strict=True)
    return [{"prompt": one.prompt, "response": text, "helpfulness": good, **_RATED} for text, good in found]
