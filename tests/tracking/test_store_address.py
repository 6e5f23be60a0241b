"""Addresses of stores, and failures of servers, as people are shown them."""

import pytest

from pipeline.tracking.store_address import masked, reason_of


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at https://bob:se@kret@host:5000/api failed", "at https://***@host:5000/api failed"),
        ("postgresql://bob:sekret/x@host/db", "postgresql://***@host/db"),
        ("'postgresql://host/db?user=bob&password=sekret'", "'postgresql://host/db?***"),
        ("sqlite:////data/mlflow.db for bob@host", "sqlite:////data/mlflow.db for bob@host"),
    ],
)
def test_no_credentials_are_shown(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_a_reason_is_one_line_and_no_password_survives_its_cut() -> None:
    reason = reason_of(RuntimeError("no\nanswer of http://bob:" + "s" * 5000 + "@host/"))
    assert reason == "no answer of http://***@host/"
    assert reason_of(RuntimeError()) == "RuntimeError"
