"""DOTA's images, up to 20,000 pixels wide, cut into overlapping patches with the objects that lie in them.

Unlike the public release, as many processes read as are asked for.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import shapely
from mmengine.logging import print_log

from mmyolo.utils.files import read_text
from mmyolo.utils.misc import IMG_EXTENSIONS
from mmyolo.utils.terminal import progress

PHASES = ('trainval', 'train', 'val', 'test')
TRUNCATED = 2  # the difficulty of an object that a patch cuts through


@dataclass(frozen=True)
class SplitConfig:
    """How images are cut.

    Attributes:
        patch_sizes: side of a patch, or several; one for each of `patch_overlap_sizes`.
        patch_overlap_sizes: pixels by which neighbouring patches overlap.
        img_resize_ratio: a patch covers its size divided by this; patches are saved as cut, not resized.
        min_img_ratio: part of a patch that the image has to cover, else the patch is dropped.
        iof_thr: part of an object that has to lie in the patch.
        padding: fill patches that stick out to their full size.
        padding_value: blue, green, red of the filling.
    """

    patch_sizes: Sequence[int]
    patch_overlap_sizes: Sequence[int]
    img_resize_ratio: Sequence[float] = (1.0,)
    min_img_ratio: float = 0.6
    iof_thr: float = 0.7
    padding: bool = True
    padding_value: Sequence[int] = (104, 116, 124)

    @classmethod
    def from_dict(cls, content: dict) -> 'SplitConfig':
        """Check the content of a JSON file.

        Raises:
            ValueError: a key is missing or unknown, or the numbers do not fit each other.
        """
        known = {field.name for field in fields(cls)}
        if set(content) - known:
            raise ValueError(f'the split config has {sorted(set(content) - known)}, allowed are {sorted(known)}')
        missing = {'patch_sizes', 'patch_overlap_sizes'} - set(content)
        if missing:
            raise ValueError(f'the split config lacks {sorted(missing)}')
        config = cls(**content)
        if len(config.patch_sizes) != len(config.patch_overlap_sizes):
            raise ValueError(
                f'patch_sizes {config.patch_sizes} and patch_overlap_sizes {config.patch_overlap_sizes} '
                'of the split config must be lists of one length'
            )
        for size, overlap in config.windows():
            if not 0 <= overlap < size:
                raise ValueError(f'patches of {size} pixels cannot overlap by {overlap}')
        return config

    def windows(self) -> list[tuple[int, int]]:
        """Size and overlap of all kinds of patches, in pixels of the image."""
        return [
            (int(size / ratio), int(overlap / ratio))
            for size, overlap in zip(self.patch_sizes, self.patch_overlap_sizes)
            for ratio in self.img_resize_ratio
        ]


class Objects(NamedTuple):
    """Objects of an image.

    Attributes:
        corners: (n, 8).
        labels: (n,) names of classes.
        difficulties: (n,).
    """

    corners: np.ndarray
    labels: list[str]
    difficulties: list[int]


def read_objects(path: Path) -> Objects:
    """Read one of DOTA's text files; a damaged line is left out with a warning that names it.

    Args:
        path: lines `x1 y1 ... y4 class difficulty`, after lines of meta information, such as `gsd:0.5`.

    Raises:
        ValueError: if it is not text.
    """
    corners, labels, difficulties = [], [], []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        parts = line.split()
        if not parts or ':' in parts[0]:
            continue
        try:
            values = [float(part) for part in parts[:8]]
            difficulty = int(parts[9]) if len(parts) > 9 else 0
            if len(parts) < 9 or not np.isfinite(values).all():
                raise ValueError
        except ValueError:
            print_log(
                f'{path}, line {number}: {line!r} must be `x1 y1 ... y4 class difficulty`; it is left out',
                'current',
                logging.WARNING,
            )
            continue
        corners.append(values)
        labels.append(parts[8])
        difficulties.append(difficulty)
    return Objects(np.array(corners, dtype=np.float64).reshape(-1, 8), labels, difficulties)


def sliding_windows(width: int, height: int, windows: Sequence[tuple[int, int]], min_img_ratio: float) -> np.ndarray:
    """Place patches on an image.

    Args:
        width: of the image.
        height: of the image.
        windows: size and overlap of each kind of patch.
        min_img_ratio: part of a patch that the image has to cover; where no patch reaches it, the best ones are kept.

    Returns:
        (n, 4) int64 xyxy; the last patch of a row or column is moved back into the image.
    """
    placed = []
    for size, overlap in windows:
        starts = [_starts(length, size, size - overlap) for length in (width, height)]
        x, y = (grid.ravel() for grid in np.meshgrid(*starts))
        placed.append(np.stack((x, y, x + size, y + size), axis=1))
    boxes = np.concatenate(placed)
    inside = boxes.clip(0, (width, height, width, height))
    covered = _areas(inside) / _areas(boxes)
    keep = covered > min_img_ratio
    if not keep.any():
        keep = covered > covered.max() - 0.01
    return boxes[keep]


def _starts(length: int, size: int, step: int) -> np.ndarray:
    count = 1 if length <= size else -(-(length - size) // step) + 1
    starts = np.arange(count) * step
    if count > 1:
        starts[-1] = min(starts[-1], length - size)
    return starts


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def covered_parts(corners: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return how much of objects lies in patches.

    Args:
        corners: (n, 8) of the objects.
        boxes: (m, 4) patches, xyxy.

    Returns:
        (n, m) within [0, 1]; 0 for objects without area.
    """
    objects = shapely.make_valid(shapely.polygons(corners.reshape(-1, 4, 2)))
    common = shapely.area(shapely.intersection(objects[:, None], shapely.box(*boxes.T)[None]))
    return common / np.maximum(shapely.area(objects)[:, None], 1e-6)


def split_image(image_path: Path, ann_path: Path | None, out: Path, config: SplitConfig, suffix: str) -> int:
    """Cut one image.

    Args:
        image_path: the image.
        ann_path: its objects, None for none.
        out: has images/ and annfiles/, where `<image>__<size>__<x>___<y>` is written.
        config: how to cut.
        suffix: of the patches.

    Returns:
        The number of patches.

    Raises:
        ValueError: if the image cannot be read.
    """
    try:
        image = cv2.imread(str(image_path))
    except cv2.error as error:  # too many pixels, for example
        raise ValueError(f'{image_path} cannot be read: {error}') from error
    if image is None:
        raise ValueError(f'{image_path} is not a readable image, or a damaged one')
    height, width = image.shape[:2]
    boxes = sliding_windows(width, height, config.windows(), config.min_img_ratio)
    objects = Objects(np.zeros((0, 8)), [], []) if ann_path is None else read_objects(ann_path)
    parts = covered_parts(objects.corners, boxes) if len(objects.labels) else np.zeros((0, len(boxes)))
    for index, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        name = f'{image_path.stem}__{x2 - x1}__{x1}___{y1}'
        patch = image[y1:y2, x1:x2]
        if config.padding and patch.shape[:2] != (y2 - y1, x2 - x1):
            padded = np.empty((y2 - y1, x2 - x1, 3), dtype=image.dtype)
            padded[...] = config.padding_value
            padded[: patch.shape[0], : patch.shape[1]] = patch
            patch = padded
        cv2.imwrite(str(out / 'images' / f'{name}{suffix}'), patch)
        lines = []
        for row in np.flatnonzero(parts[:, index] >= config.iof_thr):
            moved = objects.corners[row] - np.tile((x1, y1), 4)
            truncated = parts[row, index] < 1 - 1e-9
            difficulty = TRUNCATED if truncated else objects.difficulties[row]
            lines.append(' '.join(f'{value:.2f}' for value in moved) + f' {objects.labels[row]} {difficulty}\n')
        (out / 'annfiles' / f'{name}.txt').write_text(''.join(lines), encoding='utf-8')
    return len(boxes)


def list_images(root: Path, phase: str, ann_subdir: str) -> list[tuple[Path, Path | None]]:
    """List the images of a phase and their files of objects.

    Args:
        root: has <set>/images and <set>/<ann_subdir>, or <set>/<ann_subdir>/labelTxt.
        phase: 'trainval', which is the sets train and val, 'train', 'val' or 'test', which has no objects.
        ann_subdir: folder of the text files.

    Raises:
        ValueError: if a folder is missing, or has no images or no objects' files that belong to them.
    """
    listed = []
    for name in ('train', 'val') if phase == 'trainval' else (phase,):
        folder, annotations = root / name / 'images', root / name / ann_subdir
        if (annotations / 'labelTxt').is_dir():
            annotations = annotations / 'labelTxt'
        if not folder.is_dir():
            raise ValueError(f'{folder} does not exist; DOTA has {root}/{name}/images')
        if phase != 'test' and not annotations.is_dir():
            raise ValueError(f'{annotations} does not exist; name the folder of text files with --ann-subdir')
        for image in sorted(path for path in folder.iterdir() if path.suffix.lower() in IMG_EXTENSIONS):
            file = annotations / f'{image.stem}.txt'
            if phase != 'test' and not file.is_file():
                print_log(f'{file} does not exist; its image is taken to have no objects', 'current', logging.WARNING)
            listed.append((image, file if phase != 'test' and file.is_file() else None))
        if not any(image.parent == folder for image, _ in listed):
            raise ValueError(f'{folder} holds no image; looked for {", ".join(IMG_EXTENSIONS)}')
        if phase != 'test' and all(file is None for image, file in listed if image.parent == folder):
            raise ValueError(f'no image of {folder} has a file of objects <name of the image>.txt in {annotations}')
    return listed


def split_dota(
    config: SplitConfig,
    root: Path,
    out: Path,
    phases: Sequence[str] = ('trainval', 'test'),
    ann_subdir: str = 'labelTxt-v1.0',
    nproc: int = 8,
    suffix: str = '.png',
    overwrite: bool = False,
) -> dict:
    """Cut the images of DOTA.

    Args:
        config: how to cut.
        root: folder of DOTA, see `list_images`.
        out: folder to write <phase>/images and <phase>/annfiles into.
        phases: see PHASES.
        ann_subdir: see `list_images`.
        nproc: processes that work at once.
        suffix: of the patches.
        overwrite: write into folders that hold files already.

    Returns:
        Phase to the numbers of images and of patches. An image that cannot be read is left out with a warning.

    Raises:
        ValueError: if a folder is missing, empty or already filled, or no image of a phase can be read.
    """
    counts = {}
    for phase in phases:
        listed, target = list_images(root, phase, ann_subdir), out / phase
        for name in ('images', 'annfiles'):
            folder = target / name
            folder.mkdir(parents=True, exist_ok=True)
            if not overwrite and any(folder.iterdir()):
                raise ValueError(f'{folder} holds files already; give another folder or --overwrite')
        work = partial(_split_pair, out=target, config=config, suffix=suffix)
        if nproc > 1:
            with ProcessPoolExecutor(nproc) as pool:
                patches = list(progress(pool.map(work, listed), f'Splitting {phase}', total=len(listed)))
        else:
            patches = list(map(work, progress(listed, f'Splitting {phase}')))
        wrong = [count for count in patches if isinstance(count, str)]
        for sentence in wrong:
            print_log(f'{sentence}; it is left out', 'current', logging.WARNING)
        if len(wrong) == len(patches):
            raise ValueError(f'no image of {phase} can be read. The first: {wrong[0]}')
        counts[phase] = (len(patches) - len(wrong), sum(count for count in patches if not isinstance(count, str)))
    return counts


def _split_pair(pair: tuple[Path, Path | None], out: Path, config: SplitConfig, suffix: str) -> int | str:
    """Return the number of patches, or what is wrong with the image or its objects."""
    try:
        return split_image(*pair, out, config, suffix)
    except (ValueError, OSError) as error:
        return str(error)
