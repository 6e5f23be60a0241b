"""Whether a chat judge can be asked."""

import os
from urllib.parse import urlsplit

from pipeline.check.findings import Findings
from pipeline.check.settings import Settings
from pipeline.judges.rules import ChatRules

_LOCAL = ("localhost", "127.", "0.0.0.0", "::1", "10.", "192.168.")


def check_judge(settings: Settings, findings: Findings) -> None:
    """Check the key and the prompt of a chat judge; no request is sent."""
    if "chat" not in (settings.judge_kind, settings.second_judge):
        return
    with findings.collecting():
        ChatRules.of(settings.judge_chat)
    host = urlsplit(settings.endpoint.base_url).hostname or ""
    variable = settings.endpoint.key_variable
    if not os.environ.get(variable, "").strip() and not host.startswith(_LOCAL):
        findings.error(
            f"a judge is a chat model at {host}, and the environment variable {variable}, which has its key, is not "
            "set. Set it (to any word where the server needs no key).",
            "judge.endpoint.key_variable",
        )
