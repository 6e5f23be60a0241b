"""The registered model: a version for each evaluated checkpoint, of which one is the candidate and one the champion.

The candidate is the best policy of the last report. It becomes the champion if no flag speaks against it, it was
measured with the same judge, prompts and sampling as the champion, and the paired interval of its gain in judge score
over the champion, prompt by prompt, lies above 0. If there is no champion yet, the interval of its gain over the SFT
policy has to lie above 0. Otherwise a tag of the version says why not, and people can decide with `make promote`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import PipelineError
from pipeline.evaluation.statistics import JUDGE_GAIN_RANGE, policy_difference
from pipeline.tracking.measured_with import MeasuredWith
from pipeline.tracking.store import Store

CANDIDATE, CHAMPION = "candidate", "champion"
_REFUSED = "champion.refused"
_SHOWN = {"judge_score": "judge_score", "win_rate_vs_sft": "win_rate", "kl_nats_per_sequence": "kl"}
"""Results of a policy, and their names in the tags of its version. They are few, because the UI shows all tags of a
version below each other; its run has the rest."""
_CHECKPOINT, _OLD_CHECKPOINT = "dvc.dep/artifacts/policies/", "dvc.dep/artifacts/selected/"
_VERSIONS = "mlflow.modelVersions"


class Registry:
    """The versions of one registered model."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._client = store.client
        self.name = name

    def register(self, run: Any, model_id: str) -> str:
        """The version of an evaluated checkpoint, which is created if its run has none yet."""
        version = self.version_of(run) or self._new_version(run, model_id)
        # the pages of the model and its run show the version by this tag, which only a server sets by itself
        link = json.dumps([{"name": self.name, "version": version}])
        self._client.set_logged_model_tags(model_id, {_VERSIONS: link})
        return version

    def _new_version(self, run: Any, model_id: str) -> str:
        if not self._client.search_registered_models(f"name = '{self.name}'", max_results=1):
            self._client.create_registered_model(self.name, description="Evaluated policies; weights lie in DVC.")
        metrics, tags = run.data.metrics, run.data.tags
        shown = {tag: f"{metrics[key]:.3f}" for key, tag in _SHOWN.items() if key in metrics}
        # runs from before artifacts/selected was renamed have another policy under the name of now
        prefix = _OLD_CHECKPOINT if any(key.startswith(_OLD_CHECKPOINT) for key in tags) else _CHECKPOINT
        if digest := next((value for key, value in tags.items() if key.startswith(prefix)), None):
            shown["dvc.hash"] = digest
        version = self._client.create_model_version(
            self.name,
            f"models:/{model_id}",
            run.info.run_id,
            tags=shown,
            description=run.info.run_name,
            model_id=model_id,
        )
        return str(version.version)

    def version_of(self, run: Any) -> str | None:
        """The version of a run; None if it has none."""
        known = self._client.search_model_versions(f"name = '{self.name}' and run_id = '{run.info.run_id}'")
        return str(known[0].version) if known else None

    def holder(self, alias: str) -> Any:
        """The version with an alias; None if no version has it."""
        models = self._client.search_registered_models(f"name = '{self.name}'", max_results=1)
        number = models[0].aliases.get(alias) if models else None
        return self._client.get_model_version(self.name, str(number)) if number is not None else None

    def consider(self, run: Any, flags: Mapping[str, str]) -> str:
        """Make the policy of a run the candidate and, if it meets the conditions above, the champion.

        Args:
            flags: warnings about the policy, message by code.

        Returns:
            The decision and its reason.
        """
        version = self.version_of(run)
        if version is None:
            return "its checkpoint is not registered"
        self._client.set_registered_model_alias(self.name, CANDIDATE, version)
        champion = self.holder(CHAMPION)
        if champion is not None and str(champion.version) == version:
            return "it is the champion"
        refusal = self._refusal(run, flags, champion)
        if refusal is None:
            self._client.set_registered_model_alias(self.name, CHAMPION, version)
        self._client.set_model_version_tag(self.name, version, _REFUSED, refusal or "no")
        return refusal or "it is the champion"

    def _refusal(self, run: Any, flags: Mapping[str, str], champion: Any) -> str | None:
        if flags:
            return f"flags speak against it: {', '.join(sorted(flags))}"
        if champion is None:
            low = run.data.metrics.get("interval/judge_gain.low")
            if low is None or low <= 0:
                return "there is no champion yet, and its gain over SFT is not beyond chance"
            return None
        other = self._client.get_run(champion.run_id)
        measured, theirs_measured = (MeasuredWith.of_run(one.data.tags, one.data.params) for one in (run, other))
        if different := measured.differences(theirs_measured, "judge_score"):
            with_what = " and ".join(different)
            return (
                f"version {champion.version}, the champion, was measured with {with_what}: measure both with the same"
            )
        ours, theirs = self._scores(run.info.run_id), self._scores(champion.run_id)
        if not ours:
            return "its run keeps no table of samples to compare with the champion's"
        common = sorted(ours.keys() & theirs.keys())
        if len(common) < len(ours):
            return f"version {champion.version}, the champion, was measured on other prompts ({len(common)} in common)"
        scores = ([side[prompt] for prompt in common] for side in (ours, theirs))
        gain = policy_difference(*scores, within=JUDGE_GAIN_RANGE)
        if gain.low > 0:
            return None
        interval = f"{gain.mean:+.3f} (95 % interval {gain.low:+.3f} to {gain.high:+.3f})"
        return f"it does not beat version {champion.version}, the champion, beyond chance: judge score {interval}"

    def _scores(self, run_id: str) -> dict[str, float]:
        """Judge score by prompt id."""
        return {prompt: float(row["judge_score"]) for prompt, row in self._store.samples(run_id).items()}

    def promote(self, version: str) -> str:
        """Make a version the champion by hand, whatever was measured.

        Raises:
            PipelineError: there is no such version.
        """
        known = {str(known.version): known for known in self._client.search_model_versions(f"name = '{self.name}'")}
        if version not in known:
            raise PipelineError(
                f"model {self.name} has no version {version}; it has {', '.join(sorted(known)) or 'none'}"
            )
        self._client.set_registered_model_alias(self.name, CHAMPION, version)
        self._client.set_model_version_tag(self.name, version, "champion.promoted_by", "hand")
        return f"version {version} of {self.name} is the champion: {known[version].description}"

    def table(self) -> list[str]:
        """A line for each version, the newest first."""
        models = self._client.search_registered_models(f"name = '{self.name}'", max_results=1)
        if not models:
            return [f"no checkpoint is registered as {self.name} yet"]
        held = {str(number): alias for alias, number in models[0].aliases.items()}
        versions = self._client.search_model_versions(f"name = '{self.name}'")
        lines = []
        for version in sorted(versions, key=lambda version: -int(version.version)):
            refusal = version.tags.get(_REFUSED, "no")
            why = f"  not champion: {refusal}" if refusal != "no" else ""
            alias = held.get(str(version.version), "")
            lines.append(f"{version.version:>4}  {alias:<10}  {version.description}{why}")
        return lines


def aliased_versions(client: Any) -> Iterator[tuple[list[str], Any]]:
    """All versions in a store that have aliases, of any registered model, each with its aliases."""
    token = None
    while True:
        page = client.search_registered_models(page_token=token)
        for model in page:
            held: dict[str, list[str]] = {}
            for alias, number in sorted(model.aliases.items()):
                held.setdefault(str(number), []).append(alias)
            for number, aliases in sorted(held.items()):
                yield aliases, client.get_model_version(model.name, number)
        token = page.token
        if not token:
            return
