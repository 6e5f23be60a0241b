"""Many questions to one server, several at a time."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Protocol, TypeVar

QuestionT = TypeVar("QuestionT")
AnswerT = TypeVar("AnswerT")


class Stoppable(Protocol):
    """Who sends requests, and can end the waits of all of them."""

    def stop(self) -> None:
        """Make every thread that waits give up."""


def answers(
    endpoint: Stoppable,
    ask: Callable[[QuestionT], AnswerT],
    questions: Iterable[QuestionT],
    *,
    concurrency: int,
) -> Iterator[tuple[QuestionT, AnswerT]]:
    """Every question with its answer, in the order in which the answers come.

    Args:
        endpoint: stopped where a question fails, and then sends nothing any more.
        ask: called by several threads.
        concurrency: questions that are under way at once.
    """
    with ThreadPoolExecutor(concurrency) as pool:
        futures = {pool.submit(ask, question): question for question in questions}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            # requests that were sent are still answered; no further one is sent
            endpoint.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
