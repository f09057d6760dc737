"""Two hosts on one machine: network namespaces of Linux that a pair of virtual interfaces joins."""

import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

COUNTER = itertools.count()


@cache
def can_make_hosts() -> bool:
    """Whether this user may make network namespaces here; `hosts` needs root and the command `ip`."""
    if not shutil.which('ip'):
        return False
    name = f'try{os.getpid()}'
    made = subprocess.run(['ip', 'netns', 'add', name], capture_output=True).returncode == 0
    if made:
        subprocess.run(['ip', 'netns', 'del', name], check=True)
    return made


def _ip(*words: str) -> None:
    subprocess.run(['ip', *words], check=True, capture_output=True)


@dataclass(frozen=True)
class Host:
    """One of two.

    Args:
        name: Of its namespace.
        address: Of its interface.
        interface: That joins it to the other.
    """

    name: str
    address: str
    interface: str

    def command(self, *words: str) -> list[str]:
        """A command that runs on this host, also under a name of its own."""
        inner = 'hostname "$0" && exec "$@"'
        return ['ip', 'netns', 'exec', self.name, 'unshare', '--uts', 'sh', '-c', inner, self.name, *words]

    def cut_off(self) -> None:
        """Take its interface down: nothing comes and nothing goes, and no connection is closed."""
        _ip('-n', self.name, 'link', 'set', self.interface, 'down')


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Make two hosts that reach each other and nothing else."""
    number = f'{os.getpid()}n{next(COUNTER)}'
    first = Host(f'host{number}a', '10.77.0.1', f'v{number}a')
    second = Host(f'host{number}b', '10.77.0.2', f'v{number}b')
    try:
        for host in (first, second):
            _ip('netns', 'add', host.name)
        _ip('link', 'add', first.interface, 'netns', first.name, 'type', 'veth', 'peer', second.interface,
            'netns', second.name)  # fmt: skip
        for host in (first, second):
            _ip('-n', host.name, 'addr', 'add', f'{host.address}/24', 'dev', host.interface)
            _ip('-n', host.name, 'link', 'set', host.interface, 'up')
            _ip('-n', host.name, 'link', 'set', 'lo', 'up')
        yield first, second
    finally:
        for host in (first, second):
            subprocess.run(['ip', 'netns', 'del', host.name], capture_output=True)
