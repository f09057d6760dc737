"""Downloads public data sets: several archives at a time, each whole or not at all."""

import http.client
import shutil
import tarfile
import urllib.request
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlparse

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from mmyolo.utils.files import replacing

COCO = 'http://images.cocodataset.org'
LVIS = 'https://dl.fbaipublicfiles.com/LVIS'
VOC = 'http://host.robots.ox.ac.uk/pascal/VOC'

ARCHIVES: dict[str, tuple[str, ...]] = {
    'coco2017': (
        f'{COCO}/zips/train2017.zip',
        f'{COCO}/zips/val2017.zip',
        f'{COCO}/zips/test2017.zip',
        f'{COCO}/zips/unlabeled2017.zip',
        f'{COCO}/annotations/annotations_trainval2017.zip',
        f'{COCO}/annotations/stuff_annotations_trainval2017.zip',
        f'{COCO}/annotations/panoptic_annotations_trainval2017.zip',
        f'{COCO}/annotations/image_info_test2017.zip',
        f'{COCO}/annotations/image_info_unlabeled2017.zip',
    ),
    'lvis': (f'{LVIS}/lvis_v1_train.json.zip', f'{LVIS}/lvis_v1_val.json.zip'),
    'voc2007': (
        f'{VOC}/voc2007/VOCtrainval_06-Nov-2007.tar',
        f'{VOC}/voc2007/VOCtest_06-Nov-2007.tar',
        f'{VOC}/voc2007/VOCdevkit_08-Jun-2007.tar',
    ),
    'voc2012': (f'{VOC}/voc2012/VOCtrainval_11-May-2012.tar',),
    'balloon': ('https://github.com/matterport/Mask_RCNN/releases/download/v2.1/balloon_dataset.zip',),
    'cat': ('https://download.openmmlab.com/mmyolo/data/cat_dataset.zip',),
}
CHUNK = 1 << 20
TIMEOUT = 60  # seconds without a byte


class DownloadError(RuntimeError):
    """Some archives could not be had; the message names each and why."""


def download_all(
    urls: Sequence[str], folder: Path, unzip: bool = False, delete: bool = False, threads: int = 4
) -> tuple[Path, ...]:
    """Download archives; those that stand in the folder already are not downloaded again.

    Args:
        urls: Their addresses.
        folder: Where they go, and what is in them.
        unzip: Whether to extract them.
        delete: Whether to remove those that were extracted.
        threads: How many at a time.

    Returns:
        Where each archive is, or was before it was removed.

    Raises:
        DownloadError: If one or more failed. The others are complete, so a second run fetches only what is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    columns = ('{task.description}', BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars, ThreadPoolExecutor(max(threads, 1)) as pool:
        jobs = [pool.submit(_fetch, url, folder, unzip, delete, bars) for url in urls]
        errors = {url: job.exception() for url, job in zip(urls, jobs)}
    failed = [f'{url}: {error}' for url, error in errors.items() if error is not None]
    if failed:
        raise DownloadError(
            f'{len(failed)} of {len(urls)} archives failed; run the command again for these:\n' + '\n'.join(failed)
        )
    return tuple(job.result() for job in jobs)


def _fetch(url: str, folder: Path, unzip: bool, delete: bool, bars: Progress) -> Path:
    archive = folder / unquote(Path(urlparse(url).path).name)
    if not archive.is_file():
        bar = bars.add_task(archive.name, total=None)
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, replacing(archive) as temporary:
            total = int(answer.headers['Content-Length']) if answer.headers['Content-Length'] else None
            bars.update(bar, total=total)
            received = 0
            with temporary.open('wb') as file:
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
                    received += len(chunk)
                    bars.update(bar, completed=received)
            if total is not None and received != total:
                raise http.client.IncompleteRead(b'', total - received)
    if unzip:
        extract_archive(archive, folder)
        if delete:
            archive.unlink()
    return archive


def extract_archive(archive: Path, folder: Path) -> None:
    """Extract a zip or tar archive; nothing in it can be written outside the folder.

    Raises:
        ValueError: If it is neither.
    """
    if zipfile.is_zipfile(archive):
        shutil.unpack_archive(archive, folder, 'zip')
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as file:
            file.extractall(folder, filter='data')
    else:
        raise ValueError(f'{archive} is neither a zip nor a tar archive; remove it to download it again')
