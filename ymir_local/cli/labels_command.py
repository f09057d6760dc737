"""`ymir labels`: the labels of a training that its model contradicts."""

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from . import options
from .output import Output, UsageMistake, shown_path


class Kind(str, Enum):
    """What may be wrong with a label."""

    class_ = 'class'
    missing = 'missing'
    extra = 'extra'
    loose = 'loose'


@dataclass(frozen=True)
class Selection:
    """Which rows are shown."""

    top: Annotated[
        int, typer.Option('--top', metavar='N', min=0, help='How many of the most doubtful are shown; 0: all.')
    ] = 20
    kinds: Annotated[
        list[Kind] | None,
        typer.Option(
            '--kind',
            help='Only these: another class, a missing label, a label where the model sees nothing, a loose box. '
            'May be given several times.',
        ),
    ] = None


@options.spread
def labels(
    chosen: Selection,
    shown: options.OutputOptions,
    run: Annotated[Path, typer.Argument(metavar='RUN', help='Folder of a training.')],
    csv: Annotated[
        Path | None,
        typer.Option('--csv', metavar='FILE', help='Also write the rows that are shown, with your file names.'),
    ] = None,
) -> None:
    """List the labels that the model of a training contradicts, the most doubtful first.

    Example: ymir labels ymir_runs/20240101-120000-train-yolov8_n --top 50 --kind class
    """
    from ymir_exc.label_check import read_labels_to_check, write_labels_to_check

    from ..platform.labels_to_check import find_labels_to_check, with_names_of_user
    from ..platform.package import run_folders
    from ..report.run_files import read_run

    with shown.reporting() as output:
        if not run.is_dir():
            raise UsageMistake(f'{run} is not a folder; name the folder of a training')
        out_dir, in_dir = run_folders(run)
        file = find_labels_to_check(read_run(out_dir, in_dir).result)
        if file is None:
            raise UsageMistake(output.text('no labels checked', run=run))
        rows = with_names_of_user(read_labels_to_check(file), out_dir.resolve().parent)
        counts = Counter(row.kind for row in rows)
        kinds = [kind.value for kind in chosen.kinds or Kind]
        found = [row for row in rows if row.kind in kinds]
        picked = found[: chosen.top or None]
        if csv:
            if csv.exists() and csv.samefile(file):
                raise UsageMistake(f'{csv} is the table of the model itself; name another file')
            write_labels_to_check(csv, picked)
        if not shown.as_json:
            _print(output, picked, len(found), counts)
        output.end(output.text('labels file', file=shown_path(csv or file)))
        output.finish(
            {
                'ok': True,
                'file': str(file),
                'counts': {kind.value: counts[kind.value] for kind in Kind},
                'labels': [_plain(row) for row in picked],
            }
        )


def _print(output: Output, rows: list[Any], total: int, counts: Counter[str]) -> None:
    from ..platform.labels_to_check import KIND_NAMES

    headings = ['rank', 'score', 'label kind', 'labelled', 'predicted', 'image', 'set', 'box']
    output.table(
        output.text('labels to check'),
        [output.text(heading) for heading in headings],
        [
            (
                str(rank),
                f'{row.score:.2f}',
                KIND_NAMES[row.kind].in_language(output.language),
                row.labelled or '–',
                row.predicted or '–',
                shown_path(Path(row.image)),
                output.text(row.part),
                ', '.join(f'{value:g}' for value in row.label_box or row.predicted_box),
            )
            for rank, row in enumerate(rows, 1)
        ],
        (0, 1),
    )
    listed = ', '.join(f'{name.in_language(output.language)} {counts[kind]:,}' for kind, name in KIND_NAMES.items())
    output.say(output.text('labels shown', shown=len(rows), total=f'{total:,}', kinds=listed))


def _plain(row: Any) -> dict[str, Any]:
    cells = row._asdict()
    return {
        'image': cells.pop('image'),
        'set': cells.pop('part'),
        **{key: value or None for key, value in cells.items()},
    }
