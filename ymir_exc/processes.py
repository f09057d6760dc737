"""Work on very many files in several processes: parsing takes the processor, and threads of Python share one core."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import threading
from multiprocessing.connection import Connection
from typing import Any, Callable, Iterator, Sequence

from .threads import NUM_THREADS, chunk_results

LEAST_ITEMS = 1000  # for each process; fewer are read sooner than a process is made
CHUNK = 500  # items that a process hands over at once


def in_processes(
    function: Callable[[Sequence[Any]], Any], items: Sequence[Any], num_workers: int | None = None
) -> Iterator[tuple[int, Any]]:
    """Yield what a function gives for each chunk of a list, in order.

    Processes are forked, so the function and what it holds are not copied; what it returns is. Few items are worked on
    in threads, which wait for a slow disk together too. There are more processes than cores for the same reason.

    Args:
        function: called with a part of the list.
        items: the whole list.
        num_workers: processes or threads; None: a few per core.

    Yields:
        The length of the chunk, and its result.

    Raises:
        subprocess.CalledProcessError: a process was killed, as for want of memory.
    """
    number = min(num_workers or NUM_THREADS, len(items) // LEAST_ITEMS)
    if number < 2 or not hasattr(os, 'fork'):
        yield from chunk_results(function, items, num_workers)
        return
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    workers: list[tuple[Any, Connection]] = []
    gc.freeze()  # what is there is not looked at again, so its pages stay shared
    try:
        try:
            for first in range(number):
                workers.append(_start(function, chunks[first::number], [pipe for _, pipe in workers]))
        except OSError:  # no more processes are allowed
            number = 0
        if not number:
            yield from chunk_results(function, items, num_workers)
            return
        for index, chunk in enumerate(chunks):
            worker, receiver = workers[index % number]
            try:
                result, error = receiver.recv()
            except EOFError:
                worker.join()
                raise subprocess.CalledProcessError(worker.exitcode, 'reading the data set') from None
            if error is not None:
                raise error
            yield len(chunk), result
    finally:
        gc.unfreeze()
        for worker, receiver in workers:
            receiver.close()
            worker.terminate()
            worker.join()


def _start(
    function: Callable[[Sequence[Any]], Any], chunks: Sequence[Sequence[Any]], pipes: Sequence[Connection]
) -> tuple[Any, Connection]:
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)
    with sender:
        worker = context.Process(target=_work, args=(function, chunks, sender, [*pipes, receiver]), daemon=True)
        worker.start()
    return worker, receiver


def _work(
    function: Callable[[Sequence[Any]], Any],
    chunks: Sequence[Sequence[Any]],
    sender: Connection,
    others: Sequence[Connection],
) -> None:
    """Work on chunks in a forked process until they are done, or the parent is gone and sending fails."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its children
    for pipe in others:  # else they would keep the pipes of a parent that is gone open
        pipe.close()
    gc.disable()  # nothing here is in a circle
    try:
        for chunk in chunks:
            try:
                answer = function(chunk), None
            except Exception as error:
                answer = None, error
            sender.send(answer)
    except BrokenPipeError:
        pass
