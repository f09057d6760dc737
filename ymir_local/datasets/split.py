"""A validation set out of a data set that has none."""

from collections import Counter
from dataclasses import replace

from ymir_exc.errors import DatasetError
from ymir_exc.threads import OnProgress

from ..platform.image_hash import asset_ids
from ..platform.labels import Dataset, LabelledImage


def with_validation(dataset: Dataset, share: float = 0.1, on_progress: OnProgress | None = None) -> Dataset:
    """Split off a validation set unless there is one.

    Images are taken in the order of the sha1 of their bytes, so that the same data gives the same split wherever it
    lies and whatever its names are. An image stays in training if it is the last one there with some class.

    Args:
        dataset: any.
        share: of the images that become validation; at least one image where there are two.
        on_progress: called now and then with the number of images done and of all.

    Returns:
        The data set with the splits 'train' and 'val', and 'test' where there was one.

    Raises:
        ValueError: `share` is not between 0 and 1.
        DatasetError: there are no images to train on.
    """
    if not 0 < share < 1:
        raise ValueError(f'share is {share}; it must lie between 0 and 1')
    train = (*dataset.splits.get('train', ()), *dataset.splits.get('all', ()))
    val = tuple(dataset.splits.get('val', ()))
    test = {'test': dataset.splits['test']} if 'test' in dataset.splits else {}
    if not train:
        counts = ', '.join(f'{len(images)} in {name}' for name, images in dataset.splits.items())
        raise DatasetError(
            f'{dataset.root} has no images to train on; it has {counts or "none"}; name the folder or '
            'file of those to train on'
        )
    if val or len(train) == 1:
        warnings = () if val else (f'{dataset.root} has a single image; there is nothing to validate on',)
        return replace(dataset, splits=dict(train=train, val=val, **test), warnings=dataset.warnings + warnings)
    chosen = _choose(
        train,
        asset_ids([image.path for image in train], on_progress),
        min(max(round(len(train) * share), 1), len(train) - 1),
    )
    parts: list[list[LabelledImage]] = [[], []]
    for number, image in enumerate(train):
        parts[number in chosen].append(image)
    lost = {box.class_index for image in parts[1] for box in image.boxes} - {
        box.class_index for image in parts[0] for box in image.boxes
    }
    warnings = tuple(
        f'{dataset.root}: class {dataset.class_names[index]!r} is in the validation set only, for there '
        'are too few images'
        for index in sorted(lost)
    )
    return replace(
        dataset, splits=dict(train=tuple(parts[0]), val=tuple(parts[1]), **test), warnings=dataset.warnings + warnings
    )


def _choose(images: list[LabelledImage], names: list[str], count: int) -> set[int]:
    """Return the positions of the images that become validation."""
    classes = [{box.class_index for box in image.boxes} for image in images]
    left = Counter(index for present in classes for index in present)
    chosen: set[int] = set()
    order = sorted(range(len(images)), key=lambda position: (names[position], position))
    for position in order:
        if len(chosen) == count:
            break
        if all(left[index] > 1 for index in classes[position]):
            chosen.add(position)
            left.subtract(classes[position])
    if not chosen:  # every image is the only one of some class
        chosen.add(min(order, key=lambda position: sum(left[index] == 1 for index in classes[position])))
    return chosen
