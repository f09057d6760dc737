"""How fast a data set of PIE-Engine AI is fetched: 16 threads into the cache against one file after another.

Run it as `python benchmarks/pie_fetch.py [--images 2000] [--delay 20]`. Both sides read the same S3 server on this
machine, whose answers come later by the time of a round trip. One file after another is what a script does that follows
the platform's document: `getImages`, then `getImgXmlArray` for each key.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pie.storage import THREADS, connect, split_url  # noqa: E402
from pie_local.platform import start_platform  # noqa: E402
from pie_local.proxy import Proxy  # noqa: E402
from pie_local.run import STANDIN  # noqa: E402

IMAGE_BYTES = 20_000


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, default=2000)
    parser.add_argument('--delay', type=float, default=20, help='milliseconds of a round trip')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, start_platform(Path(name) / 's3') as platform:
        folder = Path(name) / 'data'
        (folder / 'train/images').mkdir(parents=True)
        (folder / 'valid').mkdir()
        for index in range(arguments.images):
            (folder / f'train/images/{index:05}.jpg').write_bytes(os.urandom(IMAGE_BYTES))
        data = platform.add_data(folder, 'detection')
        with Proxy(platform.s3.port, delay_s=arguments.delay / 1000) as proxy:
            os.environ.update(platform.environment(data.dataset_id), AWS_ENDPOINT_URL_S3=proxy.endpoint)
            sys.path.insert(0, str(STANDIN))
            seconds = {'one by one': one_by_one(), f'{THREADS} threads': in_threads(Path(name) / 'cache')}
    print(table(seconds, arguments.images, arguments.delay))


def table(seconds: dict[str, float], images: int, delay: float) -> str:
    """Return the table in Markdown, with the conditions above it.

    Args:
        seconds: Of each way; the first is the one that the others are compared with.
        images: How many were fetched.
        delay: Milliseconds of a round trip.
    """
    slow = next(iter(seconds.values()))
    lines = [
        f'{images:,} images of {IMAGE_BYTES // 1000} KB, listed and fetched from an S3 server on this machine '
        f'({os.cpu_count()} CPU cores); each answer comes {delay:g} ms later, the time of a round trip.',
        '',
        '| way | seconds | images/s | ratio |',
        '|---|---|---|---|',
        *(f'| {way} | {value:.1f} | {images / value:.0f} | {slow / value:.1f} |' for way, value in seconds.items()),
    ]
    return '\n'.join(lines)


def one_by_one() -> float:
    """Return the seconds that the calls of the document take."""
    from aiUtils import aiUtils

    begun = time.perf_counter()
    client = aiUtils.s3GetImg()
    for key in client.getImages(split_url(client.path, '')[1] + 'train/images'):
        client.getImgXmlArray(key)
    return time.perf_counter() - begun


def in_threads(folder: Path) -> float:
    """Return the seconds of a fetch into an empty cache."""
    begun = time.perf_counter()
    storage, url = connect('')
    prefix = split_url(url, '')[1]
    storage.fetch(storage.list(f'{prefix}train/'), prefix, folder)
    return time.perf_counter() - begun


if __name__ == '__main__':
    main()
