"""Parameters of data that tests prepare."""

import pytest

from pipeline.params.data import Data
from pipeline.params.schema import Params
from tests.data.prepared import NO_LIMITS, SPLITS
from tests.tiny_models import changed


@pytest.fixture
def labelled(params: Params) -> Data:
    return changed(
        params.data,
        format="labelled_texts",
        prompt_words=3,
        response_words=5,
        min_words=6,
        splits=SPLITS,
        limits=NO_LIMITS,
    )


@pytest.fixture
def preferences(labelled: Data) -> Data:
    return changed(labelled, format="preference_pairs")
