"""write_report: the comparison of all policies, as JSON, plots and one page."""

from pipeline.report.comparison import build_comparison, comparison_table
from pipeline.report.headline import CURVES, HEADLINE, headline, write_curves
from pipeline.report.inputs import load_report_inputs, max_sampler_kl, samples_per_step
from pipeline.report.page import render_page
from pipeline.report.page_run import run_facts
from pipeline.report.plots import draw_plots
from pipeline.report.run_sheet import write_run_sheet
from pipeline.report.state import CHECKED_OUT, PAGE, checked_out_script, digest, seal
from pipeline.stage.execution import Stage
from pipeline.stage.run import run_stage


def main(stage: Stage) -> None:
    """Compare, draw, render. Date, commit and costs differ from run to run: they go beside the page, into no output."""
    optimize = stage.params.optimize
    inputs = load_report_inputs(
        stage.root,
        optimize.methods,
        optimize.seeds,
        samples_per_step(optimize),
        max_sampler_kl(optimize),
        plain_reward_loss=stage.params.train_reward.loss_is_plain,
    )
    comparison = build_comparison(inputs, stage.params.write_report)
    stage.write_json("reports/comparison.json", comparison.as_json())
    stage.write_json(HEADLINE.as_posix(), headline(comparison))
    write_curves(inputs, stage.output(CURVES.as_posix()))
    plots = draw_plots(inputs, stage.output("reports/plots"))
    run = run_facts(inputs, stage.declared_params, stage.input_hashes)
    compared = digest(stage.output("reports/comparison.json").read_bytes())
    page, state = seal(render_page(inputs, comparison, plots, stage.params.write_report, run, compared=compared))
    stage.output(PAGE.as_posix()).write_text(page, encoding="utf-8")
    stage.output(CHECKED_OUT.as_posix()).write_text(checked_out_script(state))
    write_run_sheet(stage.root, stage.home, state, inputs)
    stage.report_policies(comparison, [PAGE.as_posix(), "reports/plots", "reports/comparison.json"])
    stage.log_final(comparison.as_json())
    print(comparison_table(comparison))
    print(f"report: {(stage.root / PAGE).resolve()}", flush=True)


if __name__ == "__main__":
    run_stage(main, description=__doc__)
