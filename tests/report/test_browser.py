"""The page in a browser: nothing asked of anyone, no complaint, plots that are there, tables that sort."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from pipeline.report.run_sheet import write_run_sheet
from pipeline.report.state import CHECKED_OUT, PAGE, checked_out_script, seal
from tests.browser import watch
from tests.conftest import ROOT
from tests.report.trained_files import load
from tests.report.written_reports import write_synthetic_reports

SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def written(render, drawn_plots, tmp_path_factory) -> Path:
    """A page with the files that lie beside it, rendered once."""
    root = tmp_path_factory.mktemp("page")
    write_synthetic_reports(root, ["dpo", "ppo"], seeds=[0], prompts=48, costs=True)
    inputs = load(root)
    page, name = seal(render(inputs, drawn_plots))
    (root / PAGE).write_text(page, encoding="utf-8")
    (root / CHECKED_OUT).write_text(checked_out_script(name))
    shutil.copy(ROOT / "params.yaml", root)
    write_run_sheet(root, root, name, inputs)
    return root


@pytest.fixture
def project(written: Path, tmp_path: Path) -> Path:
    """The test's own copy."""
    return shutil.copytree(written, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def address(project: Path) -> str:
    return (project / PAGE).as_uri()


@pytest.fixture
def page(browser: Browser, request) -> Iterator[Page]:
    """Of a scheme in which nothing but colours is different, where a test does not ask for both."""
    context = browser.new_context(color_scheme=getattr(request, "param", "light"), offline=True)
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
@pytest.mark.parametrize("size", SIZES)
def test_the_page_is_whole_by_itself(page: Page, address: str, size: str) -> None:
    seen = watch(page)
    page.set_viewport_size(SIZES[size])
    page.goto(address)
    assert seen.complaints == []
    beside = [url.removeprefix(address.removesuffix("index.html")) for url in seen.requests if "data:" not in url]
    assert beside[:2] == ["index.html", "state.js"] and len(beside) == 3 and beside[2].startswith("runs/")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    boxes = [plot.bounding_box() for plot in page.locator("figure svg").all()]
    assert len(boxes) == 7 and all(box and box["width"] > 200 and box["height"] > 100 for box in boxes)
    # wide tables scroll in their cards, the page itself does not
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]


def test_text_and_background_change_with_the_colour_scheme(browser: Browser, address: str) -> None:
    colours = []
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        found = context.new_page()
        found.goto(address)
        colours.append(found.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
    assert colours[0] != colours[1]


def test_a_table_sorts_by_number_and_by_text(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_text("Own and bought models on the same pairs, and").click()
    table = page.get_by_role("region", name="Reward models")
    first_column = table.locator("tbody th")
    table.get_by_role("button", name="Accuracy").click()
    assert [name.split()[0] for name in first_column.all_inner_texts()] == ["weak", "own", "bought"]
    table.get_by_role("button", name="Accuracy").click()
    assert [name.split()[0] for name in first_column.all_inner_texts()] == ["bought", "own", "weak"]
    table.get_by_role("button", name="Model").click()
    assert [name.split()[0] for name in first_column.all_inner_texts()] == ["bought", "own", "weak"]
    assert table.locator("th[aria-sort=ascending]").inner_text().startswith("Model")


def test_the_sheet_beside_it_completes_it(page: Page, address: str) -> None:
    page.goto(address)
    assert page.get_by_text("outside of git").is_visible()
    assert page.get_by_text("With its own inputs each took: DPO 1 min 50 s, PPO 4 min 34 s.").is_visible()
    page.get_by_text("What each method needs and gives").click()
    assert page.get_by_role("row", name="Training time").get_by_text("3 min 38 s").is_visible()
    page.get_by_text("Every stage: ").click()
    costs = page.get_by_role("region", name="Costs of the stages")
    costs.get_by_role("button", name="Time").click()
    assert costs.locator("tbody th").first.inner_text() == "validate_preferences"


def test_the_page_alone_says_what_it_cannot_know(page: Page, project: Path, address: str) -> None:
    shutil.rmtree(project / "reports/runs")
    (project / CHECKED_OUT).unlink()
    page.goto(address)
    assert page.get_by_text("Not known here: date, commit, experiment and costs").is_visible()
    assert not page.locator("#stale").is_visible()


def test_a_page_of_another_state_than_git_has_says_so(page: Page, project: Path, address: str) -> None:
    (project / CHECKED_OUT).write_text(checked_out_script("another"))
    page.goto(address)
    assert "not of the state that is checked out" in page.locator("#stale").inner_text()
    assert "git has another" in page.locator("#stale").inner_text()


def test_a_sheet_of_another_state_is_not_shown(page: Page, project: Path, address: str) -> None:
    (sheet,) = (project / "reports/runs").iterdir()
    sheet.write_text(sheet.read_text().replace(sheet.stem, "0000000000000000"))
    page.goto(address)
    assert page.get_by_text("Not known here: date, commit, experiment and costs").is_visible()


@pytest.mark.parametrize(("size", "wide"), [("phone", True), ("desktop", False)])
def test_a_table_that_is_wider_than_the_screen_says_so(page: Page, address: str, size: str, wide: bool) -> None:
    page.set_viewport_size(SIZES[size])
    page.goto(address)
    page.get_by_text("What each method needs and gives").click()
    assert page.locator("#decision .hint").is_visible() == wide


def test_what_is_seen_at_first_is_short(page: Page, address: str) -> None:
    """Half of what the whole page is, and no more than a reader takes in."""
    page.set_viewport_size(SIZES["desktop"])
    page.goto(address)
    words = "document.body.innerText.split(/\\s+/).length"
    folded, height = page.evaluate(words), page.evaluate("document.documentElement.scrollHeight")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert folded < 0.5 * page.evaluate(words) and folded < 2100
    assert height < 7150


@pytest.mark.parametrize("scripts", [True, False])
def test_paper_shows_what_is_folded(browser: Browser, address: str, scripts: bool) -> None:
    with browser.new_context(viewport=SIZES["desktop"], java_script_enabled=scripts) as context:
        page = context.new_page()
        page.goto(address)
        formula = page.locator(".formula").first
        assert not formula.is_visible()
        page.emulate_media(media="print")
        assert formula.is_visible()
