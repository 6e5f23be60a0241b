"""The page in a browser: nothing asked of anyone, no complaint, plots that are there, tables that sort."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from pipeline.report.comparison import build_comparison
from pipeline.report.page import render_page
from tests.browser import watch

SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture
def address(inputs, drawn_plots, write_report_params, tmp_path) -> str:
    page = render_page(inputs, build_comparison(inputs, write_report_params), drawn_plots, write_report_params)
    file = tmp_path / "index.html"
    file.write_text(page, encoding="utf-8")
    return file.as_uri()


@pytest.fixture(params=["light", "dark"])
def page(browser: Browser, request) -> Iterator[Page]:
    context = browser.new_context(color_scheme=request.param, offline=True)
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("size", SIZES)
def test_the_page_is_whole_by_itself(page: Page, address: str, size: str) -> None:
    seen = watch(page)
    page.set_viewport_size(SIZES[size])
    page.goto(address)
    assert seen.complaints == []
    assert [url for url in seen.requests if not url.startswith("data:")] == [address]
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
    table = page.get_by_role("region", name="Reward models")
    first_column = table.locator("tbody th")
    table.get_by_role("button", name="Accuracy").click()
    assert [name.split()[0] for name in first_column.all_inner_texts()] == ["weak", "own", "bought"]
    table.get_by_role("button", name="Accuracy").click()
    assert [name.split()[0] for name in first_column.all_inner_texts()] == ["bought", "own", "weak"]
    table.get_by_role("button", name="Model").click()
    assert [name.split()[0] for name in first_column.all_inner_texts()] == ["bought", "own", "weak"]
    assert table.locator("th[aria-sort=ascending]").inner_text().startswith("Model")
