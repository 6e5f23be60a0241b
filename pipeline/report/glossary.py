"""What each number on the page means: formula and unit."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    name: str
    formula: str
    unit: str
    meaning: str


GLOSSARY = (
    Term(
        "Judge score",
        "mean over prompts of what the judge says of a continuation",
        "share, 0 to 1",
        "Of a classifier: how likely people would label the text 1. Of a reward model: its score, from 0 to 1. "
        "Of a chat model: its preference over the SFT continuation, so SFT itself has 0.5.",
    ),
    Term(
        "Second judge's score",
        "as the judge score, by the judge of judge.second",
        "share, 0 to 1",
        "Of another family than the judge, it ranked and selected nothing. A gain that it does not see may be what the "
        "first judge gets wrong. Of a lexicon: (1 + compound sentiment) / 2.",
    ),
    Term(
        "Shared errors",
        "texts about which both judges are wrong / texts about which the first is wrong; a tie counts 1/2",
        "share of the first judge's errors",
        "How far a second opinion is the first one again. Of independent errors it would be the second judge's share "
        "of errors.",
    ),
    Term(
        "Reward score",
        "mean of r(prompt + continuation)",
        "score, mean 0 on the training pairs",
        "From the learned reward model. PPO maximises it; a rise beyond chance, while the judge score falls or text "
        "gets worse without a rise of the judge score, is reward hacking.",
    ),
    Term(
        "Win rate against SFT",
        "mean of 1[judge(policy) > judge(SFT)], a tie counts 1/2",
        "share of prompts",
        "One continuation of each policy for the same prompt. 50 % is no difference.",
    ),
    Term(
        "Win rate at equal length",
        "sigmoid(θ) of logit P(win) = φ · tanh(d / sd(d)) + θ, d the characters of the policy's response minus SFT's",
        "share of prompts",
        "The win rate if both were as long, with its score interval. None for few prompts or one difference in length.",
    ),
    Term(
        "Change against SFT",
        "mean of judge(policy) − judge(SFT) on the same prompt, prompts resampled with both",
        "as the judge score",
        "A paired bootstrap: what makes a prompt easy for both cancels, so smaller differences show.",
    ),
    Term(
        "Category",
        "the value of data.columns.category, of the first row of a prompt",
        "kind of prompt",
        "No model reads it. It shows whom a gain in the mean leaves behind.",
    ),
    Term(
        "KL from SFT",
        "mean of Σ log π(token) − log π_SFT(token) over response tokens; per token: all nats / all tokens",
        "nats per sequence",
        "How far the policy moved, estimated on its own samples. Single samples may be negative.",
    ),
    Term(
        "KL of best-of-n",
        "ln n − (n − 1) / n",
        "nats per sequence",
        "What it costs to take the highest reward among n SFT samples (an upper bound).",
    ),
    Term(
        "Fitted gain (Gao et al. 2022)",
        "d = √KL; best of n: d (α − β d), peak at d = α / (2β); trained: d (α − β ln d), peak at d = exp(α/β − 1)",
        "score units over SFT",
        "Least squares over the points with KL above 0; rmse is the root of the mean squared residual. β ≤ 0: no peak.",
    ),
    Term(
        "Beyond chance",
        "the 95 % interval of a difference on the same prompts lies on one side of 0",
        "yes or no",
        "The one rule for better and worse: verdict, flags, colours, collapse and reward hacking all follow it.",
    ),
    Term(
        "Difference prompt by prompt",
        "mean of judge(first) − judge(second); prompts resampled 2,000 times with both, and seeds where several ran",
        "judge score",
        "It can lie on one side of 0 where the intervals of both means overlap. Deviations of S seeds are scaled by "
        "√(S / (S − 1)) · t(S − 1) / 1.96, as few seeds look more alike than they are.",
    ),
    Term(
        "Collapsed seed",
        "clearly below SFT, beyond a limit, or > 3 · 1.4826 · median distance (and ≥ 0.05) below the median score",
        "yes or no",
        "It stays in the mean over seeds; the mean without it stands beside.",
    ),
    Term(
        "Held-out perplexity",
        "exp(−mean log π(token)) over responses of real texts",
        "1 (lower is better)",
        "How well the policy still predicts human text. A rise shows forgetting.",
    ),
    Term(
        "Distinct-2",
        "different word pairs / all word pairs over all continuations",
        "share, 0 to 1",
        "Diversity. A fall shows that continuations repeat each other.",
    ),
    Term(
        "Self-BLEU",
        "mean BLEU-4 of a continuation with up to 99 others as its references",
        "0 to 1 (lower is better)",
        "Diversity of longer phrases: 1 is the same text for every prompt. It depends on how many are compared.",
    ),
    Term(
        "Repetition",
        "1 − different / all word 3-grams of a continuation, mean",
        "share, 0 to 1",
        "How much a continuation says again what it said. Human text is near 0.",
    ),
    Term(
        "Accuracy of the reward model",
        "share of test pairs with r(chosen) > r(rejected)",
        "share, 0 to 1",
        "50 % is chance. To compare with: the rule that the longer response wins. In its interval several pairs of a "
        "prompt count as fewer, as they are right or wrong together.",
    ),
    Term(
        "Expected calibration error",
        "Σ (pairs in bin / pairs) · |accuracy − confidence|",
        "share, 0 to 1",
        "Confidence is sigmoid(|r(chosen) − r(rejected)|). 0 means that it can be taken at its word. Chance alone puts "
        "it above 0, most of all on few pairs: by chance is the mean of simulations in which each confidence is true.",
    ),
    Term(
        "Implicit reward (DPO)",
        "β · (log π(y) − log π_SFT(y))",
        "β · nats",
        "The reward that a DPO policy stands for. Chosen log-prob change is the same without β, for chosen responses.",
    ),
    Term(
        "k1 and k3",
        "with x = log π_SFT − log π: k1 = −x, k3 = exp(x) − 1 − x, summed over tokens",
        "nats per sequence",
        "Two unbiased estimates of the same KL; k3 is never negative and less noisy near 0. They should agree.",
    ),
    Term(
        "Sampler KL (PPO)",
        "mean over response tokens of exp(x) − 1 − x, x = log π_trained(token) − log π_sampler(token)",
        "nats per token",
        "How far what samples (merged weights, rounded) is from what is trained. Near 0 the policy learns from its own "
        "samples; above max_sampler_kl it is flagged.",
    ),
    Term(
        "Sampler log-prob difference (PPO)",
        "mean, and largest, of |log π_trained(token) − log π_sampler(token)| over the response tokens of a rollout",
        "nats",
        "The same in plain words: rounding alone gives about 0.01 in bf16 and 0.00001 in fp32.",
    ),
    Term(
        "95 % interval",
        "bootstrap over prompts; Wilson for accuracies, win rates and other shares; score test at equal length",
        "as its metric",
        "Uncertainty from the choice of prompts or pairs alone. Another seed of training may differ by more.",
    ),
)
