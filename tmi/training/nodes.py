"""A training on several machines ("nodes"): which node this is, and what the nodes tell each other.

On each node a process watches over the training processes of that node. These watching processes are linked by a
key-value store of PyTorch (`TCPStore`) that node 0 opens: each writes what it has to say as JSON under its own key, and
reads the others' keys, once a second. So every node knows how the others are, and notices within a time limit that one
of them is gone, whatever the training processes wait for.
"""

import fcntl
import ipaddress
import json
import logging
import os
import socket
import struct
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from tmi.errors import LostNodeError, SettingError
from tmi.processes import seconds_of

logger = logging.getLogger('tmi')

NODE_VARIABLE, NODE_SECONDS = 'TMI_NODE_SECONDS', 120.0
BEAT_SECONDS = 1.0  # from one exchange to the next
JOIN_SECONDS = 900.0  # until all nodes are there for the first time
DEFAULT_PORT = 29500
MAX_NODES = 1024
INTERFACE_VARIABLE = 'GLOO_SOCKET_IFNAME'
FAILED_NODE_SECONDS = 10.0  # for processes to notice by themselves that those of another node are gone
LEAVE_SECONDS = 10.0  # that node 0 waits for the others to read how it ended
SIOCGIFADDR = 0x8915


class Nodes(NamedTuple):
    """Which node this is.

    Args:
        count: How many there are.
        rank: Number of this one; node 0 prepares the data and decides.
        address: Name or IP address of node 0.
        port: Of torchrun on node 0; the link takes the next one.
    """

    count: int = 1
    rank: int = 0
    address: str = '127.0.0.1'
    port: int = DEFAULT_PORT

    @classmethod
    def of(cls, environ: Mapping[str, str] | None = None) -> 'Nodes':
        """Read NNODES, NODE_RANK, MASTER_ADDR and PORT, as tools/dist_train.sh does.

        Args:
            environ: Where they stand; None for that of this process.

        Raises:
            TaskError: SettingError if one is invalid or missing.
        """
        environ = os.environ if environ is None else environ
        count = _number(environ, 'NNODES', 1, 1, MAX_NODES)
        if count == 1:
            return cls()
        rank = _number(environ, 'NODE_RANK', None, 0, count - 1)
        address = environ.get('MASTER_ADDR', '')
        if not address:
            raise SettingError(
                f'NNODES is {count}, and the environment variable MASTER_ADDR is missing: set it to the name or IP '
                'address of node 0, the same on all nodes.'
            )
        return cls(count, rank, address, _number(environ, 'PORT', DEFAULT_PORT, 1, 65534))


def _number(environ: Mapping[str, str], name: str, default: int | None, least: int, most: int) -> int:
    text = environ.get(name, '')
    if not text and default is not None:
        return default
    if not (text.isascii() and text.isdigit()) or not least <= int(text[:9]) <= most:
        raise SettingError(f'The environment variable {name} is {text!r}; allowed is a number from {least} to {most}.')
    return int(text)


class NodeLink:
    """What the nodes tell each other; used as a context, in which a thread keeps it up to date.

    Args:
        nodes: Which node this is; at least 2 in all.
        join_seconds: Until all nodes must be there for the first time.

    Raises:
        TaskError: SettingError if node 0 cannot listen at its port.
    """

    def __init__(self, nodes: Nodes, join_seconds: float = JOIN_SECONDS) -> None:
        self.nodes, self.join_seconds = nodes, join_seconds
        self.limit = seconds_of(NODE_VARIABLE) or NODE_SECONDS
        self.began = time.monotonic()
        self._others = [rank for rank in range(nodes.count) if rank != nodes.rank and 0 in (rank, nodes.rank)]
        self._mine: dict[str, Any] = {'host': socket.gethostname(), 'run': uuid.uuid4().hex, 'beat': 0}
        self._heard: dict[int, dict[str, Any]] = {}
        self._at: dict[int, float] = {}
        self._again: set[int] = set()  # started again meanwhile
        self._problem = ''
        self._lock, self._wake, self._closed = threading.Lock(), threading.Event(), False
        self._store = self._open() if nodes.rank == 0 else None
        self._thread = threading.Thread(target=self._run, name='nodes', daemon=True)

    def __enter__(self) -> 'NodeLink':
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.nodes.rank == 0:  # the store ends with this process
            until = time.monotonic() + min(LEAVE_SECONDS, self.limit)
            while any(map(self._may_leave, self._others)) and time.monotonic() < until:
                time.sleep(0.05)
        else:
            self.say(left=True)
        self._closed = True
        self._wake.set()
        self._thread.join(min(2.0, self.limit))

    def _may_leave(self, rank: int) -> bool:
        """Return whether a node is there that has not said yet that it ends."""
        heard = self.heard().get(rank)
        return heard is not None and 'left' not in heard and time.monotonic() - self._at[rank] <= self.limit

    def say(self, **values: Any) -> None:
        """Tell the others.

        Args:
            **values: As JSON has them; they replace those of the same names.
        """
        with self._lock:
            self._mine.update(values)
        self._wake.set()

    def heard(self) -> dict[int, dict[str, Any]]:
        """Return what the others said last: rank of the node to values; node 0 hears all, the others node 0."""
        with self._lock:
            return dict(self._heard)

    def name(self, rank: int) -> str:
        """Return a node in words.

        Args:
            rank: Of the node.
        """
        host = self.heard().get(rank, {}).get('host') or (self.nodes.address if rank == 0 else '')
        return f'node {rank} (host {host})' if host else f'node {rank}'

    def is_complete(self) -> bool:
        """Return whether all are there.

        Raises:
            TaskError: LostNodeError if one is not there in time, or is gone.
        """
        lost = self.lost()
        if lost:
            raise LostNodeError(lost)
        missing = [rank for rank in self._others if rank not in self.heard()]
        if not missing:
            return True
        if time.monotonic() - self.began > self.join_seconds:
            reason = f' ({self._problem})' if self._problem else ''
            if self.nodes.rank:
                raise LostNodeError(
                    f'Node {self.nodes.rank} cannot reach node 0 at {self.nodes.address}, port {self.nodes.port + 1}'
                    f'{reason}, since {self.join_seconds:g} s: check MASTER_ADDR and PORT, that node 0 runs the same '
                    'task, and that no firewall stands between the nodes.'
                )
            raise LostNodeError(
                f'Of {self.nodes.count} nodes these have not come within {self.join_seconds:g} s: '
                f'{", ".join(map(str, missing))}. Start the same task on each, with NODE_RANK set to its number and '
                f'MASTER_ADDR to {self.nodes.address}, which must reach port {self.nodes.port + 1} of this one.'
            )
        return False

    def lost(self) -> str:
        """Return a sentence about a node that is gone, '' if there is none."""
        now = time.monotonic()
        for rank in self._others:
            heard = self.heard().get(rank)
            if heard is None or 'left' in heard:
                continue
            if rank in self._again:
                return f'{self.name(rank).capitalize()} was started again while the training ran.'
            silence = now - self._at[rank]
            if silence > self.limit:
                return (
                    f'{self.name(rank).capitalize()} cannot be reached from node {self.nodes.rank} (host '
                    f'{self._mine["host"]}) since {silence:.0f} s; the limit is {self.limit:g} s ({NODE_VARIABLE}). '
                    'Check that machine and the network between the two.'
                )
        return ''

    def forgive(self, until: float) -> None:
        """Count no silence before a moment in which this process itself stood still.

        Args:
            until: As `time.monotonic` has it.
        """
        with self._lock:
            self._at = {rank: max(at, until) for rank, at in self._at.items()}

    def _run(self) -> None:
        interval = min(BEAT_SECONDS, self.limit / 10)
        while True:
            is_last = self._closed
            try:
                self._store = self._store or self._connect()
                self._exchange(self._store)
                self._problem = ''
            except (RuntimeError, OSError, ValueError) as error:  # it is tried again, until the limit
                self._problem = str(error).splitlines()[0] if str(error) else type(error).__name__
                self._store = self._store if self.nodes.rank == 0 else None
            if is_last:
                return
            self._wake.wait(interval)
            self._wake.clear()

    def _exchange(self, store: Any) -> None:
        with self._lock:
            self._mine['beat'] += 1
            text = json.dumps(self._mine)
        store.set(_key(self.nodes.rank), text)
        for rank in self._others:
            if not store.check([_key(rank)]):
                continue
            found = json.loads(store.get(_key(rank)))
            with self._lock:
                before = self._heard.get(rank, {})
                if before and before['run'] != found['run']:
                    self._again.add(rank)
                if found['beat'] != before.get('beat'):
                    self._at[rank] = time.monotonic()
                self._heard[rank] = found

    def _open(self) -> Any:
        try:
            return self._tcp_store(is_master=True)
        except RuntimeError as error:
            first = str(error).splitlines()[0]
            raise SettingError(
                f'Node 0 cannot listen at port {self.nodes.port + 1} ({first}): set the environment variable PORT to a '
                'number of which this one and the next are free on node 0, the same on all nodes.'
            ) from error

    def _connect(self) -> Any:
        address = (self.nodes.address, self.nodes.port + 1)
        with socket.create_connection(address, timeout=min(5.0, self.limit)):  # PyTorch would print each trial
            pass
        return self._tcp_store(is_master=False)

    def _tcp_store(self, is_master: bool) -> Any:
        from torch.distributed import TCPStore

        return TCPStore(
            self.nodes.address,
            self.nodes.port + 1,
            is_master=is_master,
            wait_for_workers=False,
            timeout=timedelta(seconds=self.limit),
        )


def _key(rank: int) -> str:
    return f'node/{rank}'


def find_interface(address: str, port: int) -> str:
    """Return the network interface by which this machine reaches another, or on which it has the address itself.

    gloo takes the one of the machine's own name, which is often that of the loopback.

    Args:
        address: Name or IP address of node 0.
        port: Any.

    Returns:
        Its name; '' for the loopback, and if it is not found, as where there is only IPv6.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((address, port))  # sends nothing
            own = probe.getsockname()[0]
            if ipaddress.ip_address(own).is_loopback:
                return ''
            for _, name in socket.if_nameindex():
                request = struct.pack('256s', name.encode()[:15])
                try:
                    found = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, request)[20:24]
                except OSError:  # an interface without an address
                    continue
                if socket.inet_ntoa(found) == own:
                    return name
    except OSError:
        pass
    return ''
