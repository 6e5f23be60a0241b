"""The Hugging Face hub before something is loaded from it: whether it answers.

Its libraries ask for every file six times before they give up, up to half a minute for each. So a hub that is down, or
cannot be reached from here, is found out by one light request, and then only what was loaded before is looked at.
"""

import threading
import time
from functools import cache
from typing import Literal
from urllib.parse import quote

from huggingface_hub import constants
from huggingface_hub.utils import build_hf_headers, get_session

Kind = Literal["models", "datasets"]

SECONDS = 10.0
"""How long the hub has to answer, with everything before: name, connection, proxy."""
PAUSES = (1.0, 2.0)
"""Seconds before it is asked again where it says that something is wrong with it."""
_ITS_FAULT = (500, 502, 503, 504)

_silent: dict[str, str] = {}
"""Hubs that gave no answer to this process, and what happened instead."""


def why_not_asked(kind: Kind, name: str) -> str | None:
    """Why nothing of a repository can be loaded but what was loaded before; None where the hub answers.

    Any answer is one, such as that there is no such repository: what it means, its libraries say. Asked once in a
    process for a repository, and never again after a hub gave no answer at all. The request is made as theirs are, so
    HF_ENDPOINT, HF_TOKEN and proxies count.

    Args:
        name: OWNER/NAME, or NAME.

    Returns:
        The beginning of a sentence that names the hub and what happened.
    """
    hub = constants.ENDPOINT
    if constants.is_offline_mode():
        return f"HF_HUB_OFFLINE is set, so the hub {hub} is not asked"
    if hub in _silent:
        return _silent[hub]
    return _ask(hub, f"{hub}/api/{kind}/{quote(name)}")


def advise(instead: str) -> str:
    """What to do where it is not asked and nothing was loaded before, as sentences.

    Args:
        instead: what needs no hub, as the end of a sentence, such as "or name a folder".
    """
    if constants.is_offline_mode():
        return f"Unset HF_HUB_OFFLINE, {instead}."
    return (
        f"Try again when it answers, set HF_ENDPOINT to a hub that does, {instead}. With HF_HUB_OFFLINE=1 no hub is "
        "asked for what was loaded before."
    )


@cache
def tell_local(name: str, why: str) -> None:
    """Warn, once in a process, that a hub that may have something newer was not asked."""
    if not constants.is_offline_mode():
        print(f"warning: {why}: {name} is taken as it was loaded before.", flush=True)


@cache
def _ask(hub: str, address: str) -> str | None:
    problems: list[str | None] = []
    # its own timeout is for each address of a name and each part of an answer, and none is for finding these addresses
    asking = threading.Thread(target=lambda: problems.append(_answer(hub, address)), daemon=True)
    asking.start()
    asking.join(SECONDS)
    if not problems:
        _silent[hub] = f"the hub {hub} did not answer in {SECONDS:g} seconds"
    return _silent.get(hub) or problems[0]


def _answer(hub: str, address: str) -> str | None:
    """What is wrong with the answer; what is wrong with the connection is kept for all that is asked later."""
    status = 0
    for pause in (0.0, *PAUSES):
        time.sleep(pause)
        try:
            response = get_session().head(address, headers=build_hf_headers(), timeout=2 * SECONDS)
        except Exception as error:  # of sockets, TLS, proxies, addresses: all mean that nothing can be asked
            reason = " ".join(str(error).split())
            _silent[hub] = f"the hub {hub} was not reached ({type(error).__name__}: {reason})"
            return _silent[hub]
        status = response.status_code
        if status not in _ITS_FAULT:
            return None
    return f"the hub {hub} answers with status {status}"
