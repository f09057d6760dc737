"""From the records of a learning-curve study to a table and a plot; every comparison is with random, seed by seed."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.mining.scenes import CLASS_NAMES

RARE = 3  # classes, the last ones, that count as rare
BASE = 'random'
Curve = list[dict[str, Any]]


def read_curves(folder: Path) -> dict[str, dict[int, Curve]]:
    """Read the records of a study.

    Args:
        folder: With rounds.jsonl.

    Returns:
        For each arm and seed the records by round, the shared start first; arms of a seed whose rounds are not all
        there are left out.
    """
    lines = (folder / 'rounds.jsonl').read_text(encoding='utf-8').splitlines()
    found = {(record['arm'], record['seed'], record['round']): record for record in map(json.loads, lines)}
    last = max(number for _, _, number in found)
    curves: dict[str, dict[int, Curve]] = defaultdict(dict)
    for arm, seed in sorted({(arm, seed) for arm, seed, _ in found if arm}):
        keys = [('', seed, 0), *((arm, seed, number) for number in range(1, last + 1))]
        if all(key in found for key in keys):
            curves[arm][seed] = [found[key] for key in keys]
    return dict(curves)


def area(curve: Curve, value: str, x: str, end: float | None = None) -> float:
    """Return the area under a curve, divided by its width.

    Args:
        curve: Of an arm and a seed.
        value: `ap50`, `ap` or `rare`, the mean AP50 of the rare classes.
        x: `images` or `boxes` labelled.
        end: Of the area, None for the last round.
    """
    places = np.array([record[x] for record in curve], dtype=np.float64)
    values = np.array([value_of(record, value) for record in curve])
    end = places[-1] if end is None else end
    inner = places < end
    places, values = np.append(places[inner], end), np.append(values[inner], np.interp(end, places, values))
    return float(np.trapezoid(values, places) / (places[-1] - places[0]))


def value_of(record: dict[str, Any], value: str) -> float:
    """Return a value of a round; arguments as of `area`."""
    return float(np.nanmean(record['class_ap50'][-RARE:])) if value == 'rare' else record[value]


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Return mean and half width of the 95 % t-interval; nan for a single one."""
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return float(values.mean()), float('nan')
    spread = values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(stats.t.ppf(0.975, len(values) - 1) * spread)


def label_saving(curve: np.ndarray, base: np.ndarray, images: np.ndarray) -> float:
    """Return which share of the images an arm saves to be as precise as random is at the end; nan if it never is.

    Args:
        curve: (rounds,) mean precision of the arm.
        base: (rounds,) that of random.
        images: (rounds,) labelled images.
    """
    reached = np.flatnonzero(curve >= base[-1])
    if not len(reached):
        return float('nan')
    number = reached[0]
    if number == 0:
        return float(1 - images[0] / images[-1])
    share = (base[-1] - curve[number - 1]) / (curve[number] - curve[number - 1])
    return float(1 - (images[number - 1] + share * (images[number] - images[number - 1])) / images[-1])


def table(curves: dict[str, dict[int, Curve]]) -> str:
    """Return the table of a study in Markdown, in points of AP; the best area first."""
    base = curves.get(BASE, {})
    rows = []
    for arm, by_seed in curves.items():
        seeds = sorted(set(by_seed) & set(base)) or sorted(by_seed)
        mean = np.mean([[record['ap50'] for record in by_seed[seed]] for seed in seeds], axis=0)
        cells = [arm, len(seeds), f'{100 * np.mean([area(by_seed[seed], "ap50", "images") for seed in seeds]):.2f}']
        if base and seeds[0] in base:
            for value, x in (('ap50', 'images'), ('ap', 'images'), ('rare', 'images'), ('ap50', 'boxes')):
                pairs = [(by_seed[seed], base[seed]) for seed in seeds]
                ends = [min(one[-1][x], other[-1][x]) for one, other in pairs]
                gains = [
                    area(one, value, x, end) - area(other, value, x, end) for (one, other), end in zip(pairs, ends)
                ]
                centre, half = interval([100 * gain for gain in gains])
                wins = sum(gain > 0 for gain in gains)
                cells.append('-' if arm == BASE else f'{centre:+.2f} ± {half:.2f} ({wins}/{len(seeds)})')
            reference = np.mean([[record['ap50'] for record in base[seed]] for seed in seeds], axis=0)
            images = np.array([record['images'] for record in by_seed[seeds[0]]], dtype=np.float64)
            saving = 100 * label_saving(mean, reference, images)
            cells.append('-' if arm == BASE else 'none' if np.isnan(saving) else f'{saving:.0f} %')
        else:
            cells += ['?'] * 5
        last = [by_seed[seed][-1] for seed in seeds]
        cells += [
            f'{100 * mean[-1]:.1f}',
            f'{np.mean([record["boxes"] for record in last]):.0f}',
            f'{np.mean([sum(record["class_boxes"][-RARE:]) for record in last]):.0f}',
            f'{np.mean([record["scenes"] for record in last]):.0f}',
        ]
        order = np.mean([area(by_seed[seed], 'ap50', 'images') for seed in seeds])
        rows.append((-order, '| ' + ' | '.join(map(str, cells)) + ' |'))
    head = [
        'arm',
        'seeds',
        'area AP50',
        'gain AP50',
        'gain AP50-95',
        f'gain AP50 of the {RARE} rarest of {len(CLASS_NAMES)}',
        'gain AP50 per box',
        'images saved',
        'last AP50',
        'boxes',
        'rare boxes',
        'scenes',
    ]
    lines = ['| ' + ' | '.join(head) + ' |', '|' + '---|' * len(head)]
    return '\n'.join([*lines, *(row for _, row in sorted(rows))]) + '\n'


def plot(curves: dict[str, dict[int, Curve]], path: Path) -> None:
    """Draw the mean curves over labelled images and over labelled boxes.

    Args:
        curves: Of the study.
        path: The image file.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), sharey=True)
    for arm, by_seed in curves.items():
        values = 100 * np.array([[record['ap50'] for record in curve] for curve in by_seed.values()])
        for axis, x in zip(axes, ('images', 'boxes')):
            places = np.mean([[record[x] for record in curve] for curve in by_seed.values()], axis=0)
            (line,) = axis.plot(places, values.mean(0), marker='o', markersize=3, label=f'{arm} ({len(values)})')
            if x == 'images' and len(values) > 1:
                half = values.std(0, ddof=1) / np.sqrt(len(values))
                axis.fill_between(
                    places, values.mean(0) - half, values.mean(0) + half, alpha=0.12, color=line.get_color()
                )
    for axis, x in zip(axes, ('images', 'boxes')):
        axis.set_xlabel(f'labelled {x}')
        axis.grid(alpha=0.3)
    axes[0].set_ylabel('AP50 on the test images, mean of the seeds')
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def write(folder: Path) -> None:
    """Write table.md and curves.png beside the records, and print the table."""
    curves = read_curves(folder)
    if not curves:
        print(f'{folder} has no arm with all rounds yet')
        return
    text = table(curves)
    (folder / 'table.md').write_text(text, encoding='utf-8')
    plot(curves, folder / 'curves.png')
    print(text)
