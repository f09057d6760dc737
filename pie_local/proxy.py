"""A connection to a server on this machine that is slow, or breaks, as one to a far server may be."""

import socket
import threading
import time
from types import TracebackType


class Proxy:
    """Passes bytes on between clients and one server, as they are, so that signatures of requests stay right.

    Attributes:
        endpoint: `http://127.0.0.1:PORT`, to be used instead of the server's.
        delay_s: Each answer begins so much later: the time of a round trip.
        cuts: How many of the next large answers are broken off; counts down.
        cut_after: An answer breaks off after so many bytes.
        num_cut: How many were broken off.
    """

    def __init__(self, server_port: int, delay_s: float = 0.0, cuts: int = 0, cut_after: int = 4000) -> None:
        """Start to listen.

        Args:
            server_port: Of the server, on this machine.
            delay_s: See above.
            cuts: See above.
            cut_after: See above.
        """
        self.delay_s = delay_s
        self.cuts = cuts
        self.cut_after = cut_after
        self.num_cut = 0
        self._server = ('127.0.0.1', server_port)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(('127.0.0.1', 0), backlog=256)
        self.endpoint = f'http://127.0.0.1:{self._listener.getsockname()[1]}'
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> 'Proxy':
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Listen no more and break every connection."""
        _close(self._listener)
        with self._lock:
            sockets = list(self._open)
        for one in sockets:
            _close(one)

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return  # stopped
            try:
                server = socket.create_connection(self._server)
            except OSError:
                _close(client)
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {client, server}
            asked = threading.Event()
            for pump in (self._pass_requests, self._pass_answers):
                threading.Thread(target=pump, args=(client, server, asked), daemon=True).start()

    def _pass_requests(self, client: socket.socket, server: socket.socket, asked: threading.Event) -> None:
        try:
            while data := client.recv(65536):
                asked.set()
                server.sendall(data)
        except OSError:
            pass
        self._end(client, server)

    def _pass_answers(self, client: socket.socket, server: socket.socket, asked: threading.Event) -> None:
        passed = 0
        try:
            while data := server.recv(65536):
                if asked.is_set():  # the first bytes of an answer
                    asked.clear()
                    passed = 0
                    time.sleep(self.delay_s)
                if passed + len(data) > self.cut_after and self._takes_cut():
                    client.sendall(data[: self.cut_after - passed])
                    break
                passed += len(data)
                client.sendall(data)
        except OSError:
            pass
        self._end(client, server)

    def _takes_cut(self) -> bool:
        with self._lock:
            if self.cuts <= 0:
                return False
            self.cuts -= 1
            self.num_cut += 1
            return True

    def _end(self, *sockets: socket.socket) -> None:
        for one in sockets:
            _close(one)
        with self._lock:
            self._open -= set(sockets)


def _close(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    one.close()
