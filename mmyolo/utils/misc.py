"""What command-line tools share: finding images, laying pictures out, checks of a config.

Unlike the public release, no picture is left out of a grid, a table of 25 class names is not empty, and a file that is
no image is an error.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import torch
from mmengine.config import Config
from rich.console import Console
from rich.table import Table

from .deploy import switch_to_deploy  # noqa: F401  public code imports it from here

IMG_EXTENSIONS = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp')

NAMES_PER_COLUMN = 25


def get_file_list(source_root: str) -> tuple[list[str], dict]:
    """Find the images that a path stands for.

    Args:
        source_root: a directory, searched recursively, an image file, or the address of an image, which is downloaded
            into the working directory.

    Returns:
        Paths of the images, and what the source is: {'is_dir': bool, 'is_url': bool, 'is_file': bool}.

    Raises:
        ValueError: if the source is none of these, or a directory without images.
    """
    path = Path(source_root)
    is_dir = path.is_dir()
    is_url = not is_dir and source_root.startswith(('http:/', 'https:/'))
    is_file = not is_dir and not is_url and path.suffix.lower() in IMG_EXTENSIONS
    if is_dir:
        files = sorted(str(file) for file in path.rglob('*') if file.suffix.lower() in IMG_EXTENSIONS)
        if not files:
            raise ValueError(f'{source_root} and its sub-directories hold no image ({", ".join(IMG_EXTENSIONS)})')
    elif is_url:
        file = Path(unquote(urlparse(source_root).path)).name
        torch.hub.download_url_to_file(source_root, file)
        files = [file]
    elif is_file:
        files = [source_root]
    else:
        raise ValueError(
            f'{source_root} is neither a directory, nor an address, nor an image ({", ".join(IMG_EXTENSIONS)})'
        )
    return files, {'is_dir': is_dir, 'is_url': is_url, 'is_file': is_file}


def show_data_classes(data_classes: Sequence[str]) -> None:
    """Print the names of classes as a table.

    Args:
        data_classes: the names, in the order of their index.
    """
    table = Table(title='Information of dataset class', min_width=30)
    starts = range(0, max(len(data_classes), 1), NAMES_PER_COLUMN)
    columns = [data_classes[start : start + NAMES_PER_COLUMN] for start in starts]
    for number in range(len(columns)):
        table.add_column(f'Class name {number + 1}' if len(columns) > 1 else 'Class name')
    for row in range(len(columns[0])):
        table.add_row(*(column[row] if row < len(column) else '' for column in columns))
    Console().print(table)


def is_metainfo_lower(cfg: Config) -> None:
    """Check that the keys of every `metainfo` in a config are in lower case, as datasets read them.

    Args:
        cfg: may have `train_dataloader`, `val_dataloader` and `test_dataloader`.

    Raises:
        AssertionError: if a key is not.
    """
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        place, node = name, cfg.get(name) or {}
        while 'dataset' in node:
            place, node = f'{place}.dataset', node['dataset']
        upper = [key for key in node.get('metainfo') or {} if not key.islower()]
        if upper:
            raise AssertionError(
                f'{place}.metainfo has the keys {upper}; write them in lower case, '
                "for example metainfo=dict(classes=('cat', ))"
            )


def auto_arrange_images(image_list: Sequence[np.ndarray], image_column: int = 2) -> np.ndarray:
    """Lay pictures of one size out in a grid, row by row; places that stay empty are white.

    Args:
        image_list: (H, W, 3) uint8 each.
        image_column: pictures in a row; a single row is as long as the list.

    Returns:
        (rows * H, columns * W, 3) uint8.
    """
    columns = min(image_column, len(image_list))
    rows = math.ceil(len(image_list) / columns)
    blank = np.full_like(image_list[0], 255)
    images = list(image_list) + [blank] * (rows * columns - len(image_list))
    return np.vstack([np.hstack(images[start : start + columns]) for start in range(0, len(images), columns)])
