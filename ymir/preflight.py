"""The check of a training's data before it begins: one pass converts and checks, and everything found is listed.

preflight.csv gets each finding, the log a table of their kinds, skipped-images.tsv the images that were left out.
"""

import logging
import os
from collections.abc import Callable, Sequence

import rich.box
from rich.table import Table

from ymir.log_tables import print_plain
from ymir_exc.dataset_convert import ConversionReport, DataIssue, convert_dataset_to_coco
from ymir_exc.dataset_convert.report import ACTIONS, IMAGE_SKIPPED
from ymir_exc.env import get_current_env
from ymir_exc.errors import DatasetError
from ymir_exc.preflight import PREFLIGHT_FILE, PreflightRow, preflight_file, read_preflight
from ymir_exc.skipped_images import TRAINING, VALIDATION, SkippedImage, write_skipped_images

logger = logging.getLogger('ymir')

PARTS = {'train': TRAINING, 'val': VALIDATION}
MAX_EXAMPLE = 120  # characters of an example in the table; the file has them all, with whole paths


class Kinds:
    """How many findings of each kind there are in each set, and the first of each."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}
        self._first: dict[str, DataIssue] = {}

    def add(self, split: str, finding: DataIssue) -> None:
        """Count a finding."""
        counts = self._counts.setdefault(finding.reason, dict.fromkeys(PARTS, 0))
        counts[split] += 1
        self._first.setdefault(finding.reason, finding)

    def rows(self) -> list[tuple[str, ...]]:
        """Return kind, number in training and validation, what was done, and the first example of each."""
        return [
            (kind, *(f'{self._counts[kind][split]:,}' for split in PARTS), ACTIONS[kind], _example(self._first[kind]))
            for kind in ACTIONS
            if kind in self._counts
        ]

    def print(self) -> None:
        """Print a table of the kinds to the log."""
        rows = self.rows()
        if not rows:
            logger.info('The check of the data found nothing wrong.')
            return
        table = Table(title='Found in the data', title_justify='left', box=rich.box.ASCII)
        for name in ('kind', *PARTS.values(), 'done', 'first example'):
            table.add_column(name, justify='right' if name in PARTS.values() else 'left', overflow='fold')
        for row in rows:
            table.add_row(*row)
        print_plain(table)
        logger.info('All of it is listed in %s', PREFLIGHT_FILE)


def _example(finding: DataIssue) -> str:
    place = ': '.join(filter(None, (os.path.basename(finding.path), finding.line)))
    detail = finding.detail.replace(f'{os.path.dirname(finding.path)}/', '') if finding.path else finding.detail
    text = f'{place}: {detail}' if place else detail
    return text if len(text) <= MAX_EXAMPLE else text[: MAX_EXAMPLE - 3] + '...'


def check_and_convert(
    class_names: Sequence[str], max_pixels: int, progress: Callable[[int, int], None] | None = None, masks: bool = False
) -> ConversionReport:
    """Convert the data of the task to coco files, and list what is wrong with it.

    Args:
        class_names: Classes of the task.
        max_pixels: Larger images are skipped.
        progress: Called with the number of images read and of all.
        masks: Whether each object needs a mask.

    Returns:
        Counts, findings and images of `train` and `val`.

    Raises:
        DatasetError: 300002 if there is nothing to train on, or 300003 if no image can be read; the list is written
            all the same.
    """
    out_dir = get_current_env().output.root_dir
    kinds = Kinds()
    failure = None
    with preflight_file(out_dir) as write:

        def add(split: str, finding: DataIssue) -> None:
            kinds.add(split, finding)
            place = PARTS[split], finding.path, finding.line
            write(PreflightRow(*place, finding.reason, finding.detail, finding.done))

        try:
            report = convert_dataset_to_coco(
                cat_id_from_zero=True, progress=progress, on_finding=add, max_pixels=max_pixels, masks=masks
            )
        except DatasetError as error:
            failure = error
    left_out = (row for row in read_preflight(out_dir) if row.done == IMAGE_SKIPPED)
    write_skipped_images(out_dir, (SkippedImage(row.part, row.path, f'{row.kind} ({row.detail})') for row in left_out))
    kinds.print()
    if failure is not None:
        raise failure
    for split, part in report.splits.items():
        for what, left, skipped in (
            ('images', part.num_images, part.skipped_images.count),
            ('boxes', part.num_boxes, part.dropped_boxes.count),
        ):
            if skipped > left:
                logger.warning(
                    'Most %s of the %s set were skipped (%d of %d). Check that class_names and export_format belong to '
                    'this data set, and what %s says.',
                    what,
                    PARTS[split],
                    skipped,
                    left + skipped,
                    PREFLIGHT_FILE,
                )
    return report
