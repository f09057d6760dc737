"""The labels that the model of a training contradicts, as a run left them, by the file names that the user knows."""

from pathlib import Path

from ymir_exc.label_check import CLASS, EXTRA, LOOSE, MISSING, NAME_PATTERN, LabelToCheck
from ymir_exc.reading import TrainingResult

from ..texts import t
from .skipped import owners_of_images

KIND_NAMES = {
    CLASS: t('report.label of another class'),
    MISSING: t('report.label missing'),
    EXTRA: t('report.label where nothing is seen'),
    LOOSE: t('report.label that fits poorly'),
}


def find_labels_to_check(result: TrainingResult | None) -> Path | None:
    """Return the table that is stored with the best model of a training; None if there is none.

    Args:
        result: of the training, as far as it has any.
    """
    best = result.stages.get(result.best) if result else None
    files = best.files.items() if best else ()
    return next((path for name, path in files if path and NAME_PATTERN.fullmatch(Path(name).name)), None)


def with_names_of_user(rows: list[LabelToCheck], work_dir: Path) -> list[LabelToCheck]:
    """Return the rows with the image files that the user knows; what nobody knows stays.

    Args:
        rows: of `read_labels_to_check`.
        work_dir: holds `in` and `out`.
    """
    owners = owners_of_images(work_dir)
    return [row._replace(image=owners.get(Path(row.image).name, row.image)) for row in rows]
