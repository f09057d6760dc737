"""What no task of the platform can hold: classes and images that cannot be distinguished."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ymir_exc.errors import DatasetError
from ymir_exc.threads import OnProgress

from .image_hash import asset_ids
from .labels import LabelledImage


def label_store(class_names: Sequence[str]) -> list[str]:
    """Return the class names as the platform's label store has them, lower-cased and stripped.

    Args:
        class_names: the user's.

    Raises:
        DatasetError: two are the same, one is empty, or there is none.
    """
    names = [str(name).strip().lower() for name in class_names]
    if not names or len(set(names)) < len(names) or '' in names:
        raise DatasetError(
            f'class_names is {list(class_names)}; there must be one at least, and no two that are equal '
            'but for case and outer blanks'
        )
    return names


def check_no_copies(what: str, images: Sequence[Path], names: Sequence[str]) -> None:
    """Reject an image that occurs twice.

    Args:
        what: what the images are, for the message.
        images: their paths.
        names: the platform's names of them.

    Raises:
        DatasetError: two have the same name.
    """
    first: dict[str, Path] = {}
    for image, name in zip(images, names):
        if name in first:
            raise DatasetError(f'two {what} are the same image: {first[name]} and {image}')
        first[name] = image


def check_consistent_labels(splits: Mapping[str, Sequence[LabelledImage]], on_progress: OnProgress | None) -> None:
    """Reject what one annotation file for each image cannot hold.

    An image may be in both sets, but once in each, and with the same labels.

    Args:
        splits: the images of each set.
        on_progress: called now and then with the number of images done and of all.

    Raises:
        DatasetError: an image occurs twice in a set, or with different labels.
    """
    listed = [image for images in splits.values() for image in images]
    names = asset_ids([image.path for image in listed], on_progress)  # remembered for later
    by_name = dict(zip(names, listed))
    start = 0
    for split, images in splits.items():
        check_no_copies(f'images of {split}', [image.path for image in images], names[start : start + len(images)])
        start += len(images)
    for image, name in zip(listed, names):
        if image.boxes != by_name[name].boxes:
            raise DatasetError(f'{image.path} and {by_name[name].path} are the same image with different labels')
