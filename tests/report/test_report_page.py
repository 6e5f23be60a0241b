"""The page: self-contained, safe with any model output, honest about what is missing."""

import json
import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from pipeline.report.comparison import build_comparison
from pipeline.report.formats import duration, number, signed
from pipeline.report.page import render_page
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
def render(write_reports, write_report_params, drawn_plots):
    def render_methods(methods=("dpo", "ppo"), *, costs=True, response=None):
        unused = {f"training_{name}" for name in {"dpo", "ppo"} - set(methods)}
        root = write_reports(methods, prompts=48, costs=costs)
        if response is not None:
            path = root / f"reports/policies/{methods[0]}/seed-0/samples.jsonl"
            rows = [json.loads(line) | {"response": response, "prompt": response} for line in path.open()]
            path.write_text("\n".join(map(json.dumps, rows)))
        inputs = load(root, methods)
        plots = {name: path for name, path in drawn_plots.items() if name not in unused}
        return render_page(inputs, build_comparison(inputs, write_report_params), plots, write_report_params)

    return render_methods


def test_loads_nothing_and_ids_are_unique(render):
    page = render()
    parser = parse(page)
    assert all(address.startswith(("#", "data:")) for address in parser.addresses)
    assert all(address.startswith("#") for address in re.findall(r"url\(([^)]*)\)", page))
    assert "http:" not in page and "https:" not in page and "@import" not in page
    assert [name for name, count in parser.ids.items() if count > 1] == []
    targets = {address[1:] for address in parser.addresses if address.startswith("#")}
    targets |= set(re.findall(r"url\(#([^)]*)\)", page))
    assert targets <= set(parser.ids)
    assert parser.tags["svg"] == 7


def test_model_text_is_escaped(render):
    page = render(response=NASTY)
    page.encode("utf-8")
    assert parse(page).tags["script"] == 1  # its own, which sorts tables
    assert "&lt;script&gt;alert(" in page
    assert "{{ 7*7 }}" in page
    assert "\x00" not in page


def test_the_data_is_told(render):
    page = render()
    assert "440 (empty_text 400, duplicate 40)" in page
    assert "<code>duplicate_pair</code>" in page and "No pair broke near_duplicate." in page
    assert "&lt;b&gt;not&lt;/b&gt;" in page and "<b>not</b>" not in page
    assert " &lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Krippendorff" in page and "0.610" in page and "on 50 comparisons by 3 annotators" in page


def test_one_method_only(render):
    page = render(["dpo"])
    assert "DPO beats the SFT policy" in page
    assert "PPO</span>" not in page
    assert parse(page).tags["svg"] == 6


def test_costs(render):
    page = render()
    assert "Costs are missing" not in page
    assert 'DPO</span></p>\n      <p class="big">1 min 50 s' in page  # reference log-probs 21.7 s, training 88 s


def test_missing_costs_are_said(render):
    page = render(costs=False)
    assert "Costs are missing" in page
    assert "training took" not in page


def test_the_same_inputs_give_the_same_page(render):
    assert render() == render()


def test_numbers_as_people_read_them():
    assert [number(value, 1) for value in (1234.56, -0.04, -2.0)] == ["1,234.6", "0.0", "\N{MINUS SIGN}2.0"]
    assert [signed(value, 1) for value in (0.26, -0.26, 0.04)] == ["+0.3", "\N{MINUS SIGN}0.3", "0.0"]
    assert [duration(value) for value in (0.24, 42, 185, 7620)] == ["0.2 s", "42 s", "3 min 05 s", "2 h 07 min"]


def test_it_says_which_judge_measured(render):
    assert "a second judge" in render() and "Both say the same" in render()
