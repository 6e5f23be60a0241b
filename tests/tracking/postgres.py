"""A PostgreSQL cluster and an MLflow server on it, for as long as a test needs them."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import urlopen

import psycopg2

from tests.conftest import ROOT

_USER = "postgres"
"""Who runs the cluster where root must not; Debian's package makes this user."""


def binaries() -> Path | None:
    """The folder of PostgreSQL's programs, which Debian does not put on the PATH; None where there is none."""
    found = shutil.which("initdb")
    named = [Path(found).resolve().parent] if found else []
    for folder in [*named, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]:
        if all((folder / name).exists() for name in ("initdb", "pg_ctl", "postgres")):
            return folder
    return None


def obstacle() -> str | None:
    """Why there can be no cluster here."""
    if binaries() is None:
        return "there is no PostgreSQL"
    if os.geteuid() == 0 and _USER not in {user.pw_name for user in pwd.getpwall()}:
        return f"PostgreSQL refuses to run as root, and there is no user {_USER}"
    return None


@contextmanager
def cluster() -> Iterator[str]:
    """Start a cluster that listens on a socket in its own folder alone; yields the address of its database."""
    programs = binaries()
    assert programs is not None
    # the address of a socket must be short, and other users may not look into pytest's folders
    with TemporaryDirectory(dir="/tmp") as folder:
        other = ["runuser", "-u", _USER, "--"] if os.geteuid() == 0 else []
        if other:
            shutil.chown(folder, _USER)

        def run(program: str, *arguments: str) -> None:
            command = [*other, str(programs / program), "-D", f"{folder}/data", *arguments]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)

        run("initdb", "--username=mlflow", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        settings = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        run("pg_ctl", "start", "--wait", "-l", f"{folder}/log", "-o", settings)
        try:
            with psycopg2.connect(host=folder, user="mlflow", dbname="postgres") as session:
                session.cursor().execute("SELECT 1")
            session.close()
            yield f"postgresql+psycopg2://mlflow@/postgres?host={folder}"
        finally:
            run("pg_ctl", "stop", "--mode=immediate")


class MlflowServer:
    """`mlflow server` with a database and a folder for artifacts, which can be killed and started again."""

    def __init__(self, database: str, artifacts: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        self.uri = f"http://127.0.0.1:{port}"
        self._arguments = ["--backend-store-uri", database, "--artifacts-destination", str(artifacts), "--port", port]
        self._arguments += ["--workers", "1"]
        # its jobs would be eight processes more
        settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        ours = {"PYTEST_CURRENT_TEST", "MLFLOW_TRACKING_URI"}
        self._forks = subprocess.Popen(
            [sys.executable, "-m", "tests.tracking.warm_server"],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name not in ours} | settings,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=artifacts.with_name("server.log").open("w"),
        )
        self._pid = 0

    def start(self) -> None:
        """Start it, and wait until it answers."""
        stdin, stdout = self._forks.stdin, self._forks.stdout
        assert stdin is not None and stdout is not None
        if not self._pid:
            assert stdout.readline() == "ready\n"
        stdin.write(json.dumps(self._arguments) + "\n")
        stdin.flush()
        self._pid = int(stdout.readline())
        deadline = time.monotonic() + 120
        while not self._answers():
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def kill(self) -> None:
        """End it as a crash does."""
        os.kill(self._pid, signal.SIGKILL)
        while self._answers():
            time.sleep(0.01)

    def close(self) -> None:
        """End it, and the process that started it."""
        assert self._forks.stdin is not None
        self._forks.stdin.close()
        self._forks.wait()
