"""Ctrl-C and requests to end, which stop every command in the same orderly way."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn


@contextmanager
def stop_signals() -> Iterator[None]:
    """Let the first Ctrl-C, or request to end, interrupt, and ignore further ones until the process has ended.

    What the caller ignores stays ignored: `nohup ymir train ... &` goes on when the user logs out.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = [
        name for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(name) != signal.SIG_IGN
    ]

    def stop(*_: Any) -> NoReturn:
        before.clear()
        for name in names:
            signal.signal(name, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {name: signal.signal(name, stop) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
