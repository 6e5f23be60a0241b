"""What the page says of checkpoints, seeds, hybrid and reward hacking."""

import json

import pytest

from tests.report.trained_files import checkpoints, edit_json, load, point

NASTY = "<b>bold</b> {{ 7*7 }} \x00 end"
FALLING = [point(0, 0, 0.5, reward=0.0), point(5, 1, 0.7, reward=1.0), point(9, 4, 0.4, reward=2.0)]


@pytest.fixture
def page_of(render, drawn_plots):
    plots = {**drawn_plots, "training_hybrid": drawn_plots["training_ppo"]}
    return lambda inputs: render(inputs, plots)


def test_examples_are_folded_and_escaped(write_reports, page_of):
    root = write_reports()
    edit_json(root / "reports/checkpoints/ppo/seed-0.json", **checkpoints(FALLING, selected_step=5))
    path = root / "reports/policies/ppo/seed-0/samples.jsonl"
    path.write_text("".join(json.dumps(json.loads(line) | {"response": NASTY}) + "\n" for line in path.open()))
    page = page_of(load(root))
    checks = page[page.index('id="checks"') :]
    folded = checks[checks.index("<details>") : checks.index("</details>")]
    assert "3 examples: the reward rose most where the judge score fell" in folded
    assert folded.count('<div class="example">') == 3
    assert "&lt;b&gt;bold&lt;/b&gt; {{ 7*7 }} \N{REPLACEMENT CHARACTER} end" in folded and "<b>bold" not in page
    assert '<a href="#checks">2 checks raised a flag</a>' in page


def test_without_a_flag_there_is_nothing_folded(inputs, page_of):
    page = page_of(inputs)
    assert "<details>" not in page[page.index('id="checks"') : page.index('id="samples"')]


def test_one_seed_has_no_table_of_seeds(inputs, page_of):
    page = page_of(inputs)
    assert "Standard deviation" not in page and "What hybrid repaired" not in page


def test_several_seeds_have_a_table_with_the_collapsed_one_marked(write_reports, page_of):
    root = write_reports(seeds=[0, 1, 2])
    samples = [json.loads(line) for line in (root / "reports/policies/sft/samples.jsonl").read_text().splitlines()]
    scores = {row["id"]: row["judge_score"] for row in samples}
    path = root / "reports/policies/dpo/seed-1/samples.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row | {"judge_score": scores[row["id"]]}) + "\n" for row in rows))
    edit_json(root / "reports/policies/dpo/seed-1/metrics.json", distinct_2=0.3)
    page = page_of(load(root, seeds=[0, 1, 2]))
    seeds = page[page.index('id="seeds"') : page.index('id="checks"')]
    assert "3 seeds of every method" in seeds and "with the median judge score" in seeds
    assert seeds.count('<tr class="collapsed"><th scope="row">1, collapsed') == 1
    assert seeds.count("Mean without collapsed") == 1 and "DPO seed 1 <code>seed_collapsed</code>" in page
    assert "was not measured" not in page


def test_what_hybrid_repaired_is_told_and_escaped(write_reports, page_of):
    methods = ["dpo", "ppo", "hybrid"]
    page = page_of(load(write_reports(methods), methods))
    repair = page[page.index('id="repair"') : page.index('id="checks"')]
    assert "&lt;i&gt;sad&lt;/i&gt;" in repair and "<i>sad" not in page
    assert "<td>trained on</td><td>no repair beyond chance</td>" in repair and "<td>only checked</td>" in repair
    table = page[page.index("By category of prompts") : page.index('id="frontier"')]
    assert table.count("against DPO: no repair beyond chance") == 1


def test_every_two_policies_are_compared(inputs, page_of):
    page = page_of(inputs)
    table = page[page.index("Every two policies") : page.index("Paired bootstrap")]
    assert table.count("minus") == 3 and table.count("better") + table.count("no clear difference") == 3
