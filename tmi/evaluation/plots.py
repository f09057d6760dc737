"""Pictures of a validation that stay readable with one class and with a thousand; tables hold what they leave out."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmyolo.tools.analysis import confusion_matrix
from mmyolo.tools.analysis.plotting import new_figure, shown_names
from tmi.evaluation.accuracy import GRID, Accuracy

NAMED = 10  # classes whose curves have a name; of more, the best and the worst
BEST, WORST = 3, 5
FAINT = 200  # curves without a name, beyond which every so many are drawn
MAX_MATRIX = 80  # classes in the picture of a confusion matrix
DPI = 200  # so that no text is below 17 pixels: common Chinese fonts have bitmaps there, which matplotlib cannot draw
MEAN_COLOUR, FAINT_COLOUR = '#1a1a1a', '#b5bac2'


def legible_names(names: Sequence[str]) -> list[str]:
    """Make names ready for a picture: those that no installed font can write become 'class 3'.

    Args:
        names: Of all classes.
    """
    drawn = shown_names(names)
    cut = [name if len(name) <= len(shown) else name[: len(shown) - 1] + '…' for name, shown in zip(names, drawn)]
    return [
        shown if shown in (name, part) else f'class {k}' for k, (name, part, shown) in enumerate(zip(names, cut, drawn))
    ]


def draw_curves(accuracy: Accuracy) -> Figure:
    """Draw precision over recall and F1 over the score threshold, of each class and of all.

    Args:
        accuracy: With a labelled object.
    """
    figure = new_figure(14, 6)
    left, right = figure.subplots(1, 2)
    recalls = np.linspace(0, 1, len(accuracy.curves))
    known = [label for label, one in enumerate(accuracy.classes) if one.objects]
    mean_ap50 = np.mean([accuracy.classes[label].ap50 for label in known])
    marked = _draw_classes((left, right), (recalls, GRID), (accuracy.curves, accuracy.f1), accuracy, known)
    if len(known) > 1:
        text = f'mean of {len(known)} classes, AP50 {mean_ap50:.3f}'
        left.plot(recalls, accuracy.curves[:, known].mean(1), color=MEAN_COLOUR, linewidth=2.5, label=text)
    if len(known) > 1:
        right.plot(GRID, accuracy.f1_all, color=MEAN_COLOUR, linewidth=2.5, label='all classes together')
    best = accuracy.best
    if best.tp:
        right.axvline(best.score, color=MEAN_COLOUR, linewidth=1, linestyle=':')
        text = f'best for all: F1 {best.f1:.3f} at {best.score:.3f}'
        right.plot([best.score], [best.f1], 'o', color=MEAN_COLOUR, label=text)
    _label(left, 'Precision over recall at IoU 0.5', 'Recall', 'Precision')
    _label(right, 'F1 over the score threshold at IoU 0.5', 'Score threshold', 'F1')
    for axis in (left, right):
        axis.legend(loc='upper center', bbox_to_anchor=(0.5, -0.12), fontsize=8, ncols=2, frameon=False)
    if marked < len(known):
        note = f'{len(known)} classes; named are the {BEST} with the best AP50 and the {WORST} with the worst'
        figure.suptitle(note, fontsize=9, color='#555555')
    return figure


def _draw_classes(
    axes: Sequence[Axes], x: Sequence[np.ndarray], curves: Sequence[np.ndarray], accuracy: Accuracy, known: list[int]
) -> int:
    """Draw each class in both charts; return how many are named."""
    names = legible_names(accuracy.names)
    order = sorted(known, key=lambda label: -accuracy.classes[label].ap50)
    named = order if len(order) <= NAMED else [*order[:BEST], *order[-WORST:]]
    rest = [label for label in order if label not in set(named)]
    for label in rest[:: len(rest) // FAINT + 1]:
        for axis, places, values in zip(axes, x, curves):
            axis.plot(places, values[:, label], color=FAINT_COLOUR, linewidth=0.7, alpha=0.6)
    colours = matplotlib.colormaps['tab10'].colors
    for colour, label in zip(colours, named):
        one = accuracy.classes[label]
        texts = (f'{names[label]}, AP50 {one.ap50:.3f}', f'{names[label]}, {_best_text(one.best)}')
        for axis, places, values, text in zip(axes, x, curves, texts):
            axis.plot(places, values[:, label], color=colour, linewidth=1.5, label=text)
    return len(named)


def _best_text(best) -> str:
    return f'F1 {best.f1:.3f} at {best.score:.3f}' if best.tp else 'nothing found'


def _label(axis: Axes, title: str, x_name: str, y_name: str) -> None:
    axis.set(title=title, xlabel=x_name, ylabel=y_name, xlim=(0, 1), ylim=(0, 1.02))
    axis.grid(linewidth=0.5, alpha=0.4)
    axis.spines[['top', 'right']].set_visible(False)


def draw_confusion(accuracy: Accuracy) -> Figure:
    """Draw the confusion matrix in per cent of the objects of each class.

    Of more than 80 classes those with the most mistakes are shown, and all others as one.

    Args:
        accuracy: With a labelled object.
    """
    matrix, names = shown_classes(accuracy.confusion, legible_names(accuracy.names))
    title = f'scores from {accuracy.best.score:.3f}' if accuracy.best.tp else 'nothing right at any score'
    title = f'Which class is taken for which, {title}'
    figure = confusion_matrix.plot(confusion_matrix.normalize(matrix), names, 'Blues', title=title)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # inches, so that no title touches the edge
    return figure


def shown_classes(matrix: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Keep the classes with the most mistakes, and add up all others.

    Args:
        matrix: (C + 1, C + 1) counts, the background last.
        names: Of the C classes.

    Returns:
        A matrix of at most 82 rows and the names of its classes: those kept in their order, the others, the background.
    """
    num_classes = len(names)
    if num_classes <= MAX_MATRIX:
        return matrix, list(names)
    mistakes = matrix.sum(0) + matrix.sum(1) - 2 * matrix.diagonal()
    kept = np.sort(np.argsort(-mistakes[:-1], kind='stable')[:MAX_MATRIX])
    group = np.full(num_classes + 1, MAX_MATRIX)
    group[kept], group[-1] = np.arange(MAX_MATRIX), MAX_MATRIX + 1
    shown = np.zeros((MAX_MATRIX + 2,) * 2, matrix.dtype)
    np.add.at(shown, (group[:, None], group[None, :]), matrix)
    return shown, [*(names[label] for label in kept), f'{num_classes - MAX_MATRIX} other classes']
