"""The report as one self-contained HTML page: style and plots inside, nothing loaded from elsewhere."""

from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from pipeline.params.schema import WriteReport
from pipeline.report.glossary import GLOSSARY
from pipeline.report.inputs import ReportInputs
from pipeline.report.page_categories import category_rows
from pipeline.report.page_curves import fit_rows, pair_rows
from pipeline.report.page_data import data_section
from pipeline.report.page_decision import decide
from pipeline.report.page_judges import judge_section
from pipeline.report.page_policies import comparison_rows
from pipeline.report.page_repair import repair_table
from pipeline.report.page_reward import group_rows
from pipeline.report.page_run import RunFacts
from pipeline.report.page_samples import sampled_prompts
from pipeline.report.page_seeds import method_seeds
from pipeline.report.pairs import over_words
from pipeline.report.palette import policy_looks
from pipeline.report.state import RUNS, UNSEALED
from pipeline.report.svg_inline import inline_svg
from pipeline.report.templates import FOLDER, template_environment
from pipeline.report.verdict import state_verdict
from pipeline.results.comparison import Comparison

_DESCRIPTIONS = {
    "overoptimization": "Judge and reward-model gain of every policy over SFT against its KL from the SFT policy",
    "reward_calibration": "Accuracy of the reward model against its confidence, and its score distributions",
    "preferences": "Word counts of chosen and rejected responses",
}


def render_page(
    inputs: ReportInputs,
    comparison: Comparison,
    plots: Mapping[str, Path],
    params: WriteReport,
    run: RunFacts,
    *,
    compared: str,
) -> str:
    """The whole page as HTML text.

    Model output is escaped by the template engine, and characters that HTML cannot carry are replaced.

    Args:
        comparison: of `build_comparison`; the page shows its flags.
        plots: of `draw_plots`, SVG files by name.
        run: what was run.
        compared: `state.digest` of comparison.json.
    """
    return (
        template_environment()
        .get_template("page.html.j2")
        .render(
            state=UNSEALED,
            compared=compared,
            sheets=RUNS.name,
            run=run,
            style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
            script=Markup((FOLDER / "page.js").read_text(encoding="utf-8")),
            inputs=inputs,
            looks=policy_looks(inputs.policies),
            verdict=state_verdict(inputs),
            rows=comparison_rows(inputs, params),
            category_rows=category_rows(inputs),
            flags=comparison.flags,
            initial_loss=comparison.reward_model.initial_loss,
            prompts=sampled_prompts(inputs, params.samples_shown),
            plots=_inline_plots(plots),
            data=data_section(inputs),
            decision=decide(inputs),
            pairs=pair_rows(inputs),
            over=over_words(inputs),
            fits=fit_rows(inputs),
            validation_prompts=next(iter(inputs.trained.values())).checkpoints.prompts,
            seeds=method_seeds(inputs, params),
            repair=repair_table(inputs),
            judges=judge_section(inputs),
            reward_groups=group_rows(inputs.reward_metrics),
            glossary=GLOSSARY,
        )
    )


def _inline_plots(plots: Mapping[str, Path]) -> dict[str, Markup]:
    return {
        name: inline_svg(path, name=name, description=_DESCRIPTIONS.get(name, f"Curves of {name.replace('_', ' ')}"))
        for name, path in plots.items()
    }
