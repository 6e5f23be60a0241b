"""What each stage of a run computes."""

from dataclasses import dataclass, replace

from pipeline.memory.conditions import Conditions
from pipeline.models.footprint import NetworkSize, kept_bytes
from pipeline.params.base import Finetuning
from pipeline.params.optimize import Ppo
from pipeline.params.schema import Params
from pipeline.plan.amounts import Amounts, Texts
from pipeline.plan.arithmetic import SAMPLING, SCORING, TRAINING, Labour, forward, passes
from pipeline.plan.models import PlannedModels


@dataclass(frozen=True)
class Labours:
    """Of one run."""

    params: Params
    models: PlannedModels
    amounts: Amounts
    conditions: Conditions

    def sft(self) -> Labour:
        """Prompts with their responses, every epoch."""
        settings, texts = self.params.train_sft, self.amounts.sft
        labour, examples = Labour(), texts.count * settings.num_train_epochs
        tokens = examples * texts.length
        batch = settings.per_device_train_batch_size * texts.length
        work = forward(self._policy, tokens=tokens, length=texts.length, predicted=examples * texts.response)
        self._train(labour, self._policy, work, settings.finetuning, batch, texts.length)
        labour.tokens = tokens
        return labour

    def collection(self) -> Labour:
        """Samples of all prompts that pairs are made of."""
        labour = Labour()
        if self.params.collect_preferences.source == "sampled":
            for split in ("train", "validation", "test"):
                texts = self.amounts.prompts[split]
                labour.tokens += self._sample(
                    labour, texts, texts.count * self.params.collect_preferences.samples_per_prompt
                )
        return labour

    def reward(self) -> Labour:
        """Both sides of each pair, every epoch, and validation pairs once."""
        settings, pairs = self.params.train_reward, self.amounts.pairs["train"]
        labour, size = Labour(), self.models.scorer.size
        tokens, length = self._scored_pair(pairs)
        tokens *= pairs.count * settings.num_train_epochs
        batch = settings.per_device_train_batch_size * 2 * length
        work = forward(size, tokens=tokens, length=length)
        self._train(labour, size, work, settings.finetuning, batch, length)
        labour.tokens = tokens
        return labour

    def _scored_pair(self, pairs: Texts) -> tuple[float, float]:
        """Tokens of a pair as the reward model reads it, and of a row."""
        prompt, side = pairs.prompt, pairs.response / 2
        length = min(prompt + side, self.params.train_reward.max_length)
        if self.models.scorer.is_decoder:
            return 2 * length - min(prompt, length), 2 * length - min(prompt, length)
        return 2 * length, length

    def reward_evaluation(self) -> Labour:
        """Both sides of test and validation pairs, and some of them alone."""
        labour = Labour()
        count = sum(self.amounts.pairs[split].count for split in ("test", "validation"))
        pairs = self.amounts.pairs["test"]
        side = pairs.prompt + pairs.response / 2
        labour.tokens = self._score(labour, 2 * (count + self.params.evaluate_reward.robustness_pairs), side)
        return labour

    def reference(self) -> Labour:
        """Each pair once."""
        pairs, labour = self.amounts.pairs["train"], Labour()
        self._read(labour, pairs.count, pairs, predicted=pairs.response)
        labour.tokens = pairs.count * (2 * pairs.prompt + pairs.response)
        return labour

    def optimisation(self, method: str) -> Labour:
        """DPO, PPO or hybrid, of one seed."""
        optimize = self.params.optimize
        if method == "dpo":
            return self._dpo()
        return self._ppo(optimize.ppo if method == "ppo" else optimize.hybrid)

    def _dpo(self) -> Labour:
        settings, pairs, labour = self.params.optimize.dpo, self.amounts.pairs["train"], Labour()
        examples = pairs.count * settings.num_train_epochs
        batch = settings.per_device_train_batch_size * pairs.length
        work = forward(
            self._policy, tokens=examples * pairs.length, length=pairs.length, predicted=examples * pairs.response
        )
        self._train(labour, self._policy, work, settings.finetuning, batch, pairs.length)
        if settings.reference != "cached":
            self._read(labour, examples, pairs, predicted=pairs.response)
        labour.tokens = examples * (2 * pairs.prompt + pairs.response)
        return labour

    def _ppo(self, settings: Ppo) -> Labour:
        texts, labour, episodes = self.amounts.prompts["train"], Labour(), settings.total_episodes
        new = self.params.sampling.max_new_tokens
        labour.tokens = self._sample(labour, texts, episodes, at_once=settings.rollout_batch_size)
        self._score(labour, episodes, texts.length)
        critics = int(settings.advantage_estimator == "gae" and settings.critic != "shared")
        # the reward model reads whole prompts, policies their last tokens
        texts = self._kept(texts)
        for _ in range(2 + critics):
            self._read(labour, episodes, texts, predicted=new)
        epochs = settings.num_ppo_epochs * (1 + critics)
        batch = settings.per_device_train_batch_size * texts.length
        work = epochs * forward(
            self._policy, tokens=episodes * texts.length, length=texts.length, predicted=episodes * new
        )
        self._train(labour, self._policy, work, settings.finetuning, batch, texts.length)
        return labour

    def selection(self, checkpoints: int) -> Labour:
        """SFT and each checkpoint on some validation prompts."""
        texts, labour = self.amounts.prompts["validation"], Labour()
        count = min(texts.count, self.params.select_checkpoint.prompts)
        for step in range(1 + checkpoints):
            labour.tokens += self._measure(labour, texts, count, compared=step > 0)
        return labour

    def regressions(self) -> Labour:
        """Two policies on some training prompts of each category."""
        texts, labour = self.amounts.prompts["train"], Labour()
        count = min(texts.count, self.params.find_regressions.prompts_per_category * self.amounts.categories)
        for compared in (False, True):
            labour.tokens += self._measure(labour, texts, count, compared=compared)
        return labour

    def sft_evaluation(self) -> Labour:
        """Evaluation prompts, best-of-n of validation prompts, and perplexity."""
        labour, prompts = Labour(), self.amounts.prompts
        labour.tokens = self._measure(labour, prompts["evaluation"], prompts["evaluation"].count, compared=False)
        fewer = min(prompts["validation"].count, self.params.select_checkpoint.prompts)
        copies = 1 + max(self.params.evaluate_policy.best_of_n)
        labour.tokens += self._measure(labour, prompts["validation"], copies * fewer, compared=False)
        self._perplexity(labour)
        return labour

    def policy_evaluation(self, *, last: bool) -> Labour:
        """One policy on the evaluation prompts.

        Args:
            last: the end of training is measured, too, where another checkpoint goes on.
        """
        labour, texts = Labour(), self.amounts.prompts["evaluation"]
        for _ in range(1 + last):
            labour.tokens += self._measure(labour, texts, texts.count, compared=True)
        self._perplexity(labour)
        return labour

    def _measure(self, labour: Labour, texts: Texts, count: int, *, compared: bool) -> float:
        tokens = self._sample(labour, texts, count)
        self._score(labour, count, texts.length)
        for _ in range(2 if compared else 0):
            self._read(labour, count, self._kept(texts), predicted=texts.response)
        return tokens

    def _kept(self, texts: Texts) -> Texts:
        """As a policy reads prompts that it answers, see `sampling.max_prompt_tokens`; a bound, of means."""
        most = self.params.sampling.max_prompt_tokens
        return texts if most is None else replace(texts, prompt=min(texts.prompt, most))

    def _perplexity(self, labour: Labour) -> None:
        texts = self.amounts.held_out
        self._read(labour, texts.count, texts, predicted=texts.response)

    @property
    def _policy(self) -> NetworkSize:
        return self.models.policy.size

    def _train(
        self, labour: Labour, size: NetworkSize, work: float, finetuning: Finetuning, batch: float, length: float
    ) -> None:
        kept, full = self.conditions.kept, finetuning.method == "full"
        rows = min(batch, self.conditions.limit.part) if self.conditions.limit else batch
        if kept is not None and length:
            tokens, number = round(max(rows, length)), self.conditions.number
            at_once = kept_bytes(size, tokens=tokens, length=round(length), full=full, number=number)
            recomputed = at_once > kept
        else:
            recomputed = False
        work *= passes(finetuning, recomputed=recomputed)
        labour.add(TRAINING, size, work, number=self.conditions.number, rows=max(rows, length))

    def _read(self, labour: Labour, count: float, texts: Texts, *, predicted: float) -> None:
        work = forward(self._policy, tokens=count * texts.length, length=texts.length, predicted=count * predicted)
        labour.add(SCORING, self._policy, work, number=self.conditions.number)

    def _score(self, labour: Labour, count: float, length: float) -> float:
        """Texts of a mean length by the reward model, in fp32."""
        length = min(length, self.params.train_reward.max_length)
        work = forward(self.models.scorer.size, tokens=count * length, length=length)
        labour.add(SCORING, self.models.scorer.size, work, number=4)
        return count * length

    def _sample(self, labour: Labour, texts: Texts, count: int, *, at_once: int | None = None) -> float:
        """Prompts are read at once, and then a token of each row a step."""
        size, new, texts = self._policy, self.params.sampling.max_new_tokens, self._kept(texts)
        rows = min(count, at_once or self.params.sampling.batch_size)
        read = forward(size, tokens=count * texts.prompt, length=texts.prompt)
        labour.add(SCORING, size, read, number=self.conditions.number)
        # a token attends to all before it
        drawn = forward(size, tokens=count * new, length=2 * texts.prompt + new, predicted=count * new)
        labour.add(SAMPLING, size, drawn, number=self.conditions.number, rows=rows)
        return count * (texts.prompt + new)
