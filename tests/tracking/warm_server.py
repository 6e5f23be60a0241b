"""`mlflow server`, started in moments: its imports take most of a start, and this process has them and forks.

Each line that it reads, the arguments of the command as JSON, starts one server, whose process id it answers. All is
the command's own, but for what it would start as a new Python: uvicorn with the server's application runs in the fork.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import mlflow.cli
import mlflow.server
import mlflow.server.fastapi_app
import uvicorn.main


def _run_here(command: Sequence[str], *, extra_env: Mapping[str, str], **_: Any) -> None:
    os.environ.update(extra_env)
    uvicorn.main.main(command[command.index("uvicorn") + 1 :])


def main() -> None:
    """Answer until there is nothing more to read."""
    mlflow.server._exec_cmd = _run_here
    assert threading.active_count() == 1, "a fork has none of the threads"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a server that was killed
    print("ready", flush=True)
    servers = []
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            mlflow.cli.cli(["server", *json.loads(line)])
        servers.append(pid)
        print(pid, flush=True)
    for pid in servers:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main()
