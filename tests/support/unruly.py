"""
An HTTP proxy that does what networks do: requests are delayed, doubled, overtake each other, and
lose their answers. What its clients see is in order all the same.
"""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import threading
import time
from collections.abc import Iterator

_AT_ONCE = 8
"Requests of one client on their way at a time: within the window of what may come early."

_PATIENCE = 20.0


class Unruly:
    """Listens on a port of its own and passes everything on to another."""

    def __init__(self, upstream: int, seed: int = 1) -> None:
        self._upstream = upstream
        self._dice = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.doubled = 0
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take nobody any more."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Read all that the client says, however fast: it may close at any time."""
        said: queue.Queue[bytes | None] = queue.Queue()
        due: queue.Queue[queue.Queue[bytes] | None] = queue.Queue(_AT_ONCE)
        threading.Thread(target=self._pass_on, args=(said, due), daemon=True).start()
        threading.Thread(target=self._answer, args=(client, due), daemon=True).start()
        with contextlib.suppress(OSError):
            for request in messages(client):
                said.put(request)
        said.put(None)

    def _pass_on(
        self, said: queue.Queue[bytes | None], due: queue.Queue[queue.Queue[bytes] | None]
    ) -> None:
        while (request := said.get()) is not None:
            answer: queue.Queue[bytes] = queue.Queue(1)
            due.put(answer)
            threading.Thread(target=self._pass, args=(request, answer), daemon=True).start()
        due.put(None)

    def _answer(self, client: socket.socket, due: queue.Queue[queue.Queue[bytes] | None]) -> None:
        with client:
            while (answer := due.get()) is not None:
                with contextlib.suppress(OSError, queue.Empty):
                    client.sendall(answer.get(timeout=_PATIENCE))

    def _pass(self, request: bytes, answer: queue.Queue[bytes]) -> None:
        time.sleep(self._dice.random() * 0.01)
        fate = self._dice.random()
        if fate < 0.15:
            self.doubled += 1
            twin: queue.Queue[bytes] = queue.Queue(1)
            threading.Thread(target=self._ask, args=(request, twin), daemon=True).start()
        elif fate < 0.3:
            self.lost += 1
            self._ask(request, queue.Queue(1))
        self._ask(request, answer)

    def _ask(self, request: bytes, answer: queue.Queue[bytes]) -> None:
        with (
            contextlib.suppress(OSError, StopIteration),
            socket.create_connection(("127.0.0.1", self._upstream)) as server,
        ):
            server.settimeout(_PATIENCE)
            server.sendall(request)
            answer.put(next(messages(server)))


def messages(connection: socket.socket) -> Iterator[bytes]:
    """Requests, or answers, one by one; all of them tell their length."""
    data = b""
    while True:
        head, separator, _ = data.partition(b"\r\n\r\n")
        if separator:
            lengths = [
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ]
            size = len(head) + 4 + lengths[0]
            if len(data) >= size:
                yield data[:size]
                data = data[size:]
                continue
        more = connection.recv(65536)
        if not more:
            return
        data += more
