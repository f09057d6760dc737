"""How fast a data set of PIE-Engine AI comes out of S3: one image after another, and as the training script does it.

    python benchmarks/s3_download.py [--images 2000] [--round-trip 0.02]

A real server on this machine holds the images. Between it and the client lies a connection whose answers begin a round
trip later, as those of a server in another city do. One after another is what the document of the platform shows
(`getImages`, then `getImgXmlArray` for each); measured on a part of the images, because its rate does not change.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from pie.storage import THREADS, connect, split_url
from rich.console import Console
from rich.table import Table

from pie_local.platform import BUCKET, Platform, ServedData, start_platform
from pie_local.proxy import Proxy
from pie_local.run import STANDIN

LIMIT = 5.0  # times as fast as one after another
ONE_BY_ONE = 300  # images, at most


def _proxy(port: int, delay_s: float, answer: Connection) -> None:
    with Proxy(port, delay_s) as proxy:
        answer.send(proxy.endpoint)
        answer.recv()


@contextlib.contextmanager
def slow_connection(port: int, delay_s: float) -> Iterator[str]:
    """Give the address of a server behind a slow connection, which another process keeps."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context('spawn').Process(target=_proxy, args=(port, delay_s, theirs), daemon=True)
    process.start()
    yield ours.recv()
    ours.send(None)
    process.join()


def fill(platform: Platform, folder: Path, count: int) -> ServedData:
    """Put images of 12 to 28 KB into the server."""
    images = folder / 'data/train/images'
    images.mkdir(parents=True)
    (folder / 'data/valid').mkdir()
    rng = np.random.default_rng(0)
    for index in range(count):
        (images / f'{index:06d}.jpg').write_bytes(rng.bytes(int(rng.integers(12_000, 28_000))))
    return platform.add_data(folder / 'data', 'detection')


def one_by_one(served: ServedData, count: int) -> float:
    """Return images per second of the loop that the document shows."""
    from aiUtils import aiUtils

    client = aiUtils.s3GetImg(served.dataset_id)
    start = time.perf_counter()
    keys = client.getImages(served.path + 'train/images')[:count]
    for key in keys:
        client.getImgXmlArray(key)
    return len(keys) / (time.perf_counter() - start)


def with_threads(served: ServedData, folder: Path) -> float:
    """Return images per second of the training script, the list included; each is checked and written to a file."""
    storage, url = connect(served.dataset_id)
    prefix = split_url(url, BUCKET)[1]
    start = time.perf_counter()
    files = storage.list(prefix)
    storage.fetch(files, prefix, folder)
    return len(files) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=int, default=2000)
    parser.add_argument('--round-trip', type=float, default=0.02, help='seconds')
    arguments = parser.parse_args()
    sys.path.insert(0, str(STANDIN))
    table = Table('round trip', 'one by one', f'{THREADS} threads', 'times', title='Images per second out of S3')
    with tempfile.TemporaryDirectory() as name, start_platform(Path(name) / 's3') as platform:
        folder = Path(name)
        served = fill(platform, folder, arguments.images)
        os.environ.update(platform.environment(served.dataset_id))
        for delay in (0.0, arguments.round_trip):
            with slow_connection(platform.s3.port, delay) as endpoint:
                os.environ['AWS_ENDPOINT_URL_S3'] = endpoint
                with contextlib.redirect_stdout(io.StringIO()):
                    slow = one_by_one(served, min(arguments.images, ONE_BY_ONE))
                    fast = with_threads(served, folder / f'cache_{delay}')
            table.add_row(f'{delay * 1000:.0f} ms', f'{slow:.0f}', f'{fast:.0f}', f'{fast / slow:.1f}')
    Console().print(table)
    if fast < LIMIT * slow:
        sys.exit(
            f'with a round trip of {delay * 1000:.0f} ms: {fast / slow:.1f} times as fast, at least {LIMIT} wanted'
        )


if __name__ == '__main__':
    main()
