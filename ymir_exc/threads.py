"""Work on many files at once, which is mostly waiting for the disk."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterator, Sequence

OnProgress = Callable[[int, int], Any]

CHUNK = 64  # items that a thread takes at a time: to hand over one by one costs more than to read a header
NUM_CORES = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
NUM_THREADS = min(16, 4 * (os.cpu_count() or 1))


def chunk_results(
    function: Callable[[Sequence[Any]], Any], items: Sequence[Any], num_threads: int | None = None
) -> Iterator[tuple[int, Any]]:
    """Yield what a function gives for each chunk of a list, in order; the function is called in several threads.

    Args:
        function: called with a part of the list.
        items: the whole list.
        num_threads: how many; None: a few per core.

    Yields:
        The length of the chunk, and its result.
    """
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    with ThreadPoolExecutor(num_threads or NUM_THREADS) as pool:
        calls = pool.map(function, chunks)
        try:
            for chunk, result in zip(chunks, calls):
                yield len(chunk), result
        finally:
            calls.close()  # after an error: cancels the chunks that no thread has begun


def in_threads(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    on_progress: OnProgress | None = None,
    num_threads: int | None = None,
) -> Iterator[Any]:
    """Yield ``function`` of each item, in order; the function is called in several threads.

    Args:
        function: reads or writes files.
        items: what to call it with.
        on_progress: called now and then with the number of items done and of all.
        num_threads: how many; None: a few per core.
    """
    done = 0
    for count, results in chunk_results(lambda chunk: [function(item) for item in chunk], items, num_threads):
        yield from results
        done += count
        if on_progress is not None:
            on_progress(done, len(items))
