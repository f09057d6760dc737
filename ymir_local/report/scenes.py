"""The images of an inference and what is to be seen in them, joined from the run and from labels that a user gives."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..platform.labels import Dataset
from ..platform.prepare import asset_id
from ..texts import t
from .evaluation import BoxTable
from .run_files import RunFiles, index_entries, objects_of

COUNTED, DIFFICULT, CROWD = 'counted', 'difficult', 'crowd'


class Scene(NamedTuple):
    """One image.

    Args:
        name: key in the inference result.
        path: on this machine, if it is there.
        labelled: whether labels are known for it.
        title: the file name that its owner knows.
    """

    name: str
    path: Path | None
    labelled: bool
    title: str


class Label(NamedTuple):
    """A labelled object: its class, its box, and whether it counts (COUNTED) or is DIFFICULT or a CROWD."""

    class_index: int
    xywh: tuple[float, float, float, float]
    kind: str = COUNTED


class Truth(NamedTuple):
    """All labels.

    Args:
        counted: those that are to be found.
        ignored: difficult objects and crowds, which are neither found nor missed.
    """

    counted: BoxTable
    ignored: BoxTable


def read_scenes(
    run: RunFiles, labels: Dataset | None, names: Sequence[str], training: RunFiles | None = None
) -> tuple[list[Scene], Truth]:
    """Return the images of a run in the order of the index, and their labels; `run.gaps` gets what is not there.

    Args:
        run: an inference.
        labels: what the user says of the images; None: what in/annotations says, if anything.
        names: class names, in lower case.
        training: the training whose validation images they are, which has their labels.
    """
    paths = {Path(path).name: path for path in run.candidates}
    sources = dict(zip(paths, run.sources)) if len(run.sources) == len(paths) == len(run.candidates) else {}
    keys = [*paths, *(name for name in run.detections or {} if name not in paths)]
    given = _labels_by_name(keys, sources, labels, names, run) if labels is not None else {}
    annotations: dict[str, list[Label]] = {}
    if training is not None:
        annotations = _annotations(training, index_entries(training, 'val'))
    elif labels is None:
        annotations = _annotations(run, _own_annotations(run, keys, paths))
    scenes: list[Scene] = []
    found: list[tuple[int, Label]] = []
    for k, key in enumerate(keys):
        path = run.host_path(paths[key]) if key in paths else None
        if path is None and key in sources and os.path.isfile(sources[key]):
            path = Path(sources[key])
        objects = annotations.get(key)
        if key in given:
            path, objects = path or given[key][0], given[key][1]
        if path is not None and not os.path.isfile(path):
            path = None
        if key in run.skipped:  # nothing was looked for in it
            objects = None
        title = Path(sources.get(key) or (given[key][0] if key in given else key)).name
        scenes.append(Scene(key, path, objects is not None, title))
        found += [(k, item) for item in objects or ()]
    if labels is not None and not given:
        run.gaps.append(t('report.none of the labelled images'))
    elif labels is None and not annotations:
        run.gaps.append(t('report.no labels are known for'))
    truth = Truth(
        _boxes((k, item) for k, item in found if item.kind == COUNTED),
        _boxes((k, item) for k, item in found if item.kind != COUNTED),
    )
    kinds = Counter(item.kind for _, item in found)
    if len(truth.ignored):
        run.gaps.append(t('report.labels are marked as difficult', kinds[DIFFICULT], kinds[CROWD]))
    return scenes, truth


def _boxes(labels: Iterable[tuple[int, Label]]) -> BoxTable:
    return BoxTable.of([(k, item.class_index, *item.xywh, 1.0) for k, item in labels])


def _labels_by_name(
    keys: Sequence[str], sources: dict[str, str], labels: Dataset, names: Sequence[str], run: RunFiles
) -> dict[str, tuple[Path, list[Label]]]:
    """Join labels to candidates: by the path they came from, by file name, or by the hash that names an asset."""
    to_class = {
        k: names.index(name.strip().lower())
        for k, name in enumerate(labels.class_names)
        if name.strip().lower() in names
    }
    left_out = sorted(
        {
            labels.class_names[box.class_index]
            for image in labels.images()
            for box in image.boxes
            if box.class_index not in to_class
        }
    )
    if left_out:
        run.gaps.append(t('report.labels of classes that the', ', '.join(left_out)))
    by_source = {str(Path(source).resolve()): key for key, source in sources.items()}
    by_stem = {Path(key).stem: key for key in keys}
    joined = {}
    for image in labels.images():
        key = by_source.get(str(Path(image.path).resolve())) or by_stem.get(Path(image.path).stem)
        if key is None:
            try:
                key = by_stem.get(asset_id(image.path))
            except OSError:
                key = None
        if key is not None:
            marked = [(box, DIFFICULT if box.difficult else COUNTED) for box in image.boxes]
            marked += [(box, CROWD) for box in image.crowds]
            joined[key] = (
                Path(image.path),
                [
                    Label(to_class[box.class_index], (box.x, box.y, box.w, box.h), kind)
                    for box, kind in marked
                    if box.class_index in to_class
                ],
            )
    return joined


def _own_annotations(run: RunFiles, keys: Sequence[str], paths: dict[str, str]) -> list[tuple[str, str]]:
    """Return image and file of the labels in in/annotations, which the platform leaves empty for candidates."""
    folder = run.in_dir / 'annotations' if run.in_dir else None
    if folder is None or not folder.is_dir():
        return []
    files = {path.stem: path for path in sorted(folder.rglob('*')) if path.suffix in ('.txt', '.xml')}
    coco = folder / 'coco-annotations.json'
    if not coco.is_file() and not files:
        return []
    return [(paths.get(key, key), str(coco if coco.is_file() else files.get(Path(key).stem, ''))) for key in keys]


def _annotations(run: RunFiles, entries: Sequence[tuple[str, str]]) -> dict[str, list[Label]]:
    """Read annotations of a run, by the file name of the image."""
    return {
        Path(image).name: [
            Label(
                int(item.class_id),
                (item.xmin, item.ymin, item.xmax - item.xmin, item.ymax - item.ymin),
                CROWD if item.iscrowd else COUNTED,
            )
            for item in objects
        ]
        for (image, _), objects in zip(entries, objects_of(run, entries))
        if objects is not None
    }
