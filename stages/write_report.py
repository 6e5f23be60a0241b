"""write_report: the comparison of all policies, as JSON, plots and one self-contained page."""

from pipeline.report.comparison import build_comparison, comparison_table
from pipeline.report.inputs import load_report_inputs
from pipeline.report.page import render_page
from pipeline.report.plots import draw_plots
from pipeline.stage.run import Stage, run_stage


def main(stage: Stage) -> None:
    """Compare, draw, render. The page shows measured costs too, so it is no output that DVC hashes."""
    samples_per_step = {
        "dpo": stage.params.optimize.dpo.per_device_train_batch_size
        * stage.params.optimize.dpo.gradient_accumulation_steps,
        "ppo": stage.params.optimize.ppo.rollout_batch_size,
        "hybrid": stage.params.optimize.hybrid.rollout_batch_size,
    }
    methods, seeds = stage.params.optimize.methods, stage.params.optimize.seeds
    inputs = load_report_inputs(stage.root, methods, seeds, samples_per_step)
    comparison = build_comparison(inputs, stage.params.write_report)
    stage.write_json("reports/comparison.json", comparison)
    plots = draw_plots(inputs, stage.output("reports/plots"))
    page = render_page(inputs, comparison, plots, stage.params.write_report)
    draft = stage.root / "reports" / "index.html.tmp"
    draft.write_text(page, encoding="utf-8")
    draft.replace(stage.root / "reports" / "index.html")
    stage.log_final(comparison)
    print(comparison_table(comparison))
    print(f"report: {(stage.root / 'reports' / 'index.html').resolve()}", flush=True)


if __name__ == "__main__":
    run_stage(main, description=__doc__)
