"""Whether SFT trains the policy, and on which turns."""

from pipeline.check.findings import Findings
from pipeline.check.settings import Settings
from pipeline.check.sources import ReadData
from pipeline.data.sft_texts import why_lost, why_untrained


def is_trained(data: ReadData, settings: Settings) -> bool:
    """Whether SFT trains the policy at all."""
    return _reason(data, settings) is None


def _reason(data: ReadData, settings: Settings) -> str | None:
    template = data.style.template_hash if data.style.written else None
    brought = settings.models.policy.chat_template is None
    return why_untrained(data.prepared.texts["train"], template, settings.sft_skip, template_is_its_own=brought)


def check_sft(data: ReadData, settings: Settings, findings: Findings) -> None:
    """Warn where `train_sft.skip: auto` skips SFT, and add an error where turns cannot be learned."""
    rows = data.prepared.texts["train"]
    reason = _reason(data, settings)
    if reason is not None:
        if rows and settings.sft_skip == "auto":
            findings.warning(
                f"{reason}: the policy is used without SFT. A base model, which may bring a template, too, needs SFT.",
                "train_sft.skip",
                "false",
            )
        return
    if settings.sft_turns == "all":
        lost = next(((row["id"], why) for row in rows if (why := why_lost(row, data.style.end_of_turn))), None)
        if lost is not None:
            findings.error(
                f"the earlier answers of text {lost[0]} cannot be learned: {lost[1]}.", "train_sft.turns", "last"
            )
