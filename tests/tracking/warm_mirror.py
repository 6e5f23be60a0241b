"""The mirror of a journal, started in moments: MLflow takes most of a start, and this process has it and forks.

    python warm_mirror.py SOCKET                    waits, and forks for each client
    python warm_mirror.py SOCKET JOURNAL ...        a client: stands for the mirror, and ends with it

A client that is killed takes its mirror along.
"""

import json
import os
import socket
import sys


def stand_for(address: str, arguments: list[str]) -> int:
    """Have a fork do it, and stay as long as it does."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        asked = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109
        connection.sendall(json.dumps(asked).encode() + b"\n")
        return (connection.recv(1) or b"\1")[0]


def serve(address: str) -> None:
    """Wait for clients, until this process is killed."""
    import signal
    import threading

    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

    import pipeline.tracking.mirror  # noqa: F401
    from pipeline.warm.waiting import end_with_parent

    end_with_parent(os.getppid())
    assert threading.active_count() == 1, "a fork has none of the threads"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a mirror that has ended
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listening.close()
                mirror(connection)
            connection.close()


def mirror(connection: socket.socket) -> None:
    """Be the mirror that a client asks for."""
    import threading

    from pipeline.tracking.mirror import main

    asked = json.loads(connection.makefile().readline())
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = ["mirror", *asked["arguments"]]
    # the stage that it follows is the client's parent, which stays
    stage = int(asked["arguments"][-1])
    os.getppid = lambda: stage
    # a client says nothing more: its end is that of a process that was killed
    threading.Thread(target=lambda: connection.recv(1) or os._exit(1), daemon=True).start()
    try:
        main()
    except SystemExit as ended:
        connection.sendall(bytes([ended.code if isinstance(ended.code, int) else ended.code is not None]))
    finally:
        os._exit(0)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(stand_for(sys.argv[1], sys.argv[2:]))
    serve(sys.argv[1])
