"""The page in a browser: keyboard, reloads, a server that is killed, and nothing asked of anyone else."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import Seen, watch
from tests.labelling.serving import ITEMS, read_lines, serving, write_items

HOSTILE = "<img src=x onerror=\"document.title='owned'\"> & <b>bold</b>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_items(tmp_path / "artifacts/preferences/raw.jsonl")
    return tmp_path


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def press(page: Page, key: str, *, done: int) -> None:
    """Press a key and wait until its vote is counted."""
    page.keyboard.press(key)
    expect(page.locator("#progress")).to_have_text(f"{done} of {len(ITEMS)}")
    expect(page.locator("[data-winner=tie]")).to_be_enabled()


def asked(seen: Seen) -> set[str]:
    return {urlsplit(url).netloc for url in seen.requests if not url.startswith("data:")}


def test_votes_by_keyboard_through_reloads_and_a_killed_server(folder: Path, page: Page) -> None:
    seen, path = watch(page), folder / "data/labels/ann.jsonl"
    with serving(folder) as served:
        page.goto(served.url)
        expect(page.locator("#progress")).to_have_text("0 of 8")
        for done, key in enumerate(("ArrowLeft", "2", "t"), start=1):
            press(page, key, done=done)
        undone = read_lines(path)[-1]
        press(page, "u", done=2)
        expect(page.locator("#prompt")).to_have_text(undone["prompt"])
        press(page, "S", done=3)
        page.reload()
        expect(page.locator("#progress")).to_have_text("3 of 8")
        press(page, "ArrowRight", done=4)
        port = urlsplit(served.url).port
        assert not seen.complaints
        served.kill()
        shown = page.locator("#prompt").text_content()
        page.keyboard.press("1")
        expect(page.locator("#notice")).to_contain_text("Your vote is kept here")
        page.keyboard.press("2")  # nothing can be said of the next item before this vote is on the disk
        assert page.locator("#prompt").text_content() == shown
    complaints = len(seen.complaints)
    assert all("ERR_CONNECTION" in one or "Failed to load" in one for one in seen.complaints)
    with serving(folder, port=port or 0) as served:
        expect(page.locator("#progress")).to_have_text("5 of 8")
        expect(page.locator("#notice")).to_be_hidden()
        for done in (6, 7):
            press(page, "1", done=done)
        page.keyboard.press("1")
        expect(page.locator("#finished")).to_contain_text("All done")
        expect(page.locator("#summary")).to_contain_text("Winners: 7, ties: 0, skipped: 1")
        assert all("ERR_CONNECTION" in one for one in seen.complaints[complaints:])
        assert asked(seen) == {urlsplit(served.url).netloc}
    winners = [line["winner"] for line in read_lines(path)]
    assert winners == ["a", "b", "tie", "undo", "skip", "b", "a", "a", "a", "a"]
    assert len({line["item"] for line in read_lines(path)}) == len(ITEMS)
    lost = next(line for line in read_lines(path) if line["prompt"] == shown)
    assert lost["winner"] == "a"


def test_a_vote_outlives_a_closed_page_when_the_server_was_gone(folder: Path, page: Page) -> None:
    with serving(folder) as served:
        page.goto(served.url)
        expect(page.locator("#voting")).to_be_visible()
        port = urlsplit(served.url).port or 0
        served.kill()
        page.keyboard.press("2")
        expect(page.locator("#notice")).to_be_visible()
        other, _ = page.context.new_page(), page.close()
    with serving(folder, port=port) as served:
        other.goto(served.url)
        expect(other.locator("#progress")).to_have_text("1 of 8")
    assert [line["winner"] for line in read_lines(folder / "data/labels/ann.jsonl")] == ["b"]


def test_two_tabs_lose_nothing_and_count_nothing_twice(folder: Path, page: Page) -> None:
    with serving(folder) as served:
        first, second = page, page.context.new_page()
        for tab in (first, second):
            tab.goto(served.url)
            expect(tab.locator("#voting")).to_be_visible()
        press(first, "1", done=1)
        press(second, "2", done=1)  # it still showed the same item, and the last word counts
        press(second, "t", done=2)
        press(first, "t", done=2)
    lines = read_lines(folder / "data/labels/ann.jsonl")
    assert [line["winner"] for line in lines] == ["a", "b", "tie"]
    assert lines[0]["item"] == lines[1]["item"] != lines[2]["item"]


def test_model_output_stays_text(folder: Path, page: Page) -> None:
    write_items(folder / "hostile.jsonl", [{"prompt": HOSTILE, "chosen": f" {HOSTILE}", "rejected": " \n"}])
    seen = watch(page)
    with serving(folder, "--items", "hostile.jsonl", "--question", HOSTILE) as served:
        page.goto(served.url)
        expect(page.locator("#voting")).to_be_visible()
        assert page.locator("#prompt").text_content() == page.locator("#question").text_content() == HOSTILE
        assert sorted(page.locator(".response .text").all_text_contents()) == ["(nothing but white space)", HOSTILE]
        assert page.locator("img").count() == page.locator("b").count() == 0
        assert page.title() == "Which is better?"
    assert not seen.complaints


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_and_takes_taps(folder: Path, browser: Browser, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": 360, "height": 640}, is_mobile=True, has_touch=True, color_scheme=scheme
    )
    page = context.new_page()
    with serving(folder) as served:
        page.goto(served.url)
        expect(page.locator("#voting")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        red = int(background.split("(")[1].split(",")[0])
        assert (red > 200) == (scheme == "light")
        for button in page.locator("button").all():
            box = button.bounding_box()
            assert box is not None and box["height"] >= 44
        page.locator("[data-winner=b]").tap()
        expect(page.locator("#progress")).to_have_text("1 of 8")
    context.close()
