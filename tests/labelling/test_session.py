"""Progress, undo, votes that come twice or at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.labelling.session import Session
from tests.labelling.conftest import SessionMaker
from tests.labelling.serving import ITEMS, read_lines


def vote_next(session: Session, *winners: str) -> list[str]:
    """Vote on what comes next, and return the items."""
    items = []
    for winner in winners:
        items.append(session.state()["item"]["id"])
        session.vote(items[-1], winner)
    return items


def test_a_line_says_all_that_was_seen(open_session: SessionMaker, votes: Path) -> None:
    session = open_session()
    rows = {row["id"]: row for row in ITEMS}
    for _ in ITEMS:
        shown = session.state()["item"]
        session.vote(shown["id"], "a")
        line, item = read_lines(votes)[-1], rows[shown["id"]]
        own = [(item["chosen"], False), (item["rejected"], True)]
        seen = [(line[f"response_{side}"], line[f"response_{side}_ended"]) for side in "ab"]
        assert seen == (own if line["order"] == "ab" else own[::-1])
        assert [(one["text"], one["ended"]) for one in shown["responses"]] == seen
        assert shown["prompt"] == line["prompt"] == item["prompt"]
        assert (line["winner"], line["annotator"], line["time"]) == ("a", "ann", "2025-01-01T00:00:00Z")
    assert {line["order"] for line in read_lines(votes)} == {"ab", "ba"}
    state = session.state()
    assert state["item"] is None and state["done"] == state["total"] == len(ITEMS)


def test_the_page_is_not_told_what_comes_from_where(open_session: SessionMaker) -> None:
    shown = open_session().state()["item"]
    assert set(shown) == {"id", "prompt", "responses"} and set(shown["responses"][0]) == {"text", "ended"}


def test_a_restart_goes_on_where_it_stopped(open_session: SessionMaker) -> None:
    before = open_session()
    vote_next(before, "a", "tie", "skip")
    state = before.state()
    assert (state["done"], state["ties"], state["skipped"]) == (3, 1, 1)
    assert open_session().state() == state


def test_another_annotator_starts_at_the_beginning(open_session: SessionMaker) -> None:
    vote_next(open_session(), "a", "b")
    state = open_session("bob").state()
    assert (state["done"], state["previous"]) == (0, None)


def test_the_same_vote_again_is_written_once_and_another_one_replaces_it(
    open_session: SessionMaker, votes: Path
) -> None:
    session = open_session()
    (item,) = vote_next(session, "a")
    assert session.vote(item, "a") == session.state()
    assert len(read_lines(votes)) == 1
    session.vote(item, "b")
    assert [line["winner"] for line in read_lines(votes)] == ["a", "b"]
    assert session.state()["done"] == 1


def test_undo_takes_back_the_last_votes_one_by_one_also_after_a_restart(
    open_session: SessionMaker, votes: Path
) -> None:
    first, second, third = vote_next(open_session(), "a", "b", "tie")
    session = open_session()
    state = session.vote(third, "undo")
    assert (state["item"]["id"], state["previous"], state["done"]) == (third, second, 2)
    assert session.vote(third, "undo") == state  # sent twice
    state = session.vote(second, "undo")
    assert (state["item"]["id"], state["previous"], state["done"]) == (second, first, 1)
    assert vote_next(session, "skip", "a") == [second, third]
    assert [line["winner"] for line in read_lines(votes)] == ["a", "b", "tie", "undo", "undo", "skip", "a"]
    assert open_session().state() == session.state()


@pytest.mark.parametrize(("item", "winner", "words"), [("other", "a", "have changed"), ("item0", "c", "winner is 'c'")])
def test_what_is_no_vote_is_refused(
    open_session: SessionMaker, votes: Path, item: str, winner: str, words: str
) -> None:
    with pytest.raises(PipelineError, match=words):
        open_session().vote(item, winner)
    assert votes.read_text() == ""


def test_votes_at_once_lose_nothing_and_are_not_mixed_up(open_session: SessionMaker, votes: Path) -> None:
    session = open_session()
    jobs = [(row["id"], winner) for row in ITEMS for winner in ("a", "b", "tie", "undo")]

    def post(job: tuple[str, str]) -> dict[str, Any]:
        return session.vote(*job)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(post, jobs * 4))
    last = {line["item"]: line["winner"] for line in read_lines(votes)}
    assert set(last) == {row["id"] for row in ITEMS}
    state = session.state()
    assert state["done"] == sum(winner != "undo" for winner in last.values())
    assert open_session().state() == state
