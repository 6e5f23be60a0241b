"""A hub on this machine that does not do what a hub does."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def serving(status: str | None) -> Iterator[tuple[str, list[bytes]]]:
    """Its address, and the requests that reach it.

    Args:
        status: of every answer, such as "500 Internal Server Error"; None answers nothing.
    """
    requests: list[bytes] = []

    def answer_all(listening: socket.socket) -> None:
        held = []
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                requests.append(connection.recv(65536))
                if status is None:
                    held.append(connection)
                    continue
                connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer_all, args=(listening,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", requests
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
    thread.join(1)


def free_address() -> str:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"
