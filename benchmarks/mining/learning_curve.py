"""Learning curves: how precise a detector becomes if the images to label are chosen by a mining algorithm.

    python -m benchmarks.mining.learning_curve --out FOLDER [--arms random entropy hybrid] [--seeds 0 1 2] [--quick]

A detector trains on a few labelled images, an algorithm ranks the others, the first ones get their labels, the
detector trains on with them, and so on. All arms of a seed share the first labelled images, the seed of
the training and the test images; each round is a line of FOLDER/rounds.jsonl, so a run that was stopped goes on where
it was. FOLDER then holds table.md and curves.png too. Several processes, one thread each.
"""

import argparse
import json
import logging
import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.mining import curve_table
from benchmarks.mining.detector import (
    PRETRAINING_STEPS,
    START_STEPS,
    STEPS,
    build_detector,
    evaluate,
    prepare,
    pretrain,
    train_head,
)
from benchmarks.mining.ranking import ALGORITHMS, ARMS, fit_stats, inspect, rank_images
from benchmarks.mining.scenes import FRAMES, POOL, TEST, VALIDATION, SceneSettings, make_scenes
from tmi.mining.stats import MiningStats

INITIAL_NIGHT = 0.1  # share of the night images that the first draw keeps: the domain is hardly known at the start
AUGMENTED = 5  # variants of each image of the pool to train on


@dataclass(frozen=True)
class Protocol:
    """What a study does.

    Args:
        initial: Images that are labelled at the start.
        step: Images that are labelled per round.
        rounds: How often.
        start_steps: Batches of the first training.
        steps: Batches of the training of a round, which goes on from the model of the round before, as on the
            platform.
        pretraining_steps: Batches of the training on other shapes.
        sets: Pool, validation and test images.
        frames: A pool of near-identical frames, for `benchmarks.mining.proxies`.
    """

    initial: int = 100
    step: int = 50
    rounds: int = 4
    start_steps: int = START_STEPS
    steps: int = STEPS
    pretraining_steps: int = PRETRAINING_STEPS
    sets: tuple[SceneSettings, SceneSettings, SceneSettings] = (POOL, VALIDATION, TEST)
    frames: SceneSettings = FRAMES


QUICK = Protocol(
    initial=60,
    step=40,
    rounds=2,
    start_steps=200,
    steps=80,
    pretraining_steps=300,
    sets=tuple(replace(one, singles=one.singles // 3, bursts=one.bursts // 3) for one in (POOL, VALIDATION, TEST)),
    frames=replace(FRAMES, bursts=FRAMES.bursts // 3),
)


def check_folder(folder: Path, protocol: Protocol, data_seed: int) -> None:
    """See that a folder belongs to a study, or make it its own: records of others must not be mixed with its.

    Args:
        folder: For records and weights.
        protocol: What to do.
        data_seed: Of the generated images.

    Raises:
        SystemExit: Another study has left its records there.
    """
    file, text = folder / 'study.txt', f'data seed {data_seed}\n{protocol}\n'
    if file.exists() and file.read_text(encoding='utf-8') != text:
        raise SystemExit(
            f'{folder} holds records of a study with another --data-seed, or with or without --quick: choose another '
            f'--out, or see {file.name} there.'
        )
    file.write_text(text, encoding='utf-8')


class Study:
    """Trains, ranks and records.

    Args:
        protocol: What to do.
        data_seed: Of the generated images.
        folder: For records and weights.
    """

    def __init__(self, protocol: Protocol, data_seed: int, folder: Path) -> None:
        self.protocol, self.data_seed, self.folder = protocol, data_seed, folder
        folder.mkdir(parents=True, exist_ok=True)
        check_folder(folder, protocol, data_seed)
        self.records = folder / 'rounds.jsonl'
        self.initial_weights = pretrain(folder / 'pretrained.pt', protocol.pretraining_steps)
        # Seeds of the sets are apart: a scene is a function of seed and number.
        self.pool, self.validation, self.test = (
            prepare(make_scenes(settings, 10 * data_seed + number), self.initial_weights, AUGMENTED * (number == 0))
            for number, settings in enumerate(protocol.sets)
        )

    def run_arm(self, seed: int, name: str) -> None:
        """Do the rounds of an arm that are not recorded yet; `start` comes first."""
        done = self.done()
        labelled = self.initial_images(seed)
        for number in range(1, self.protocol.rounds + 1):
            record = done.get((seed, name, number))
            if record is None:
                begin = time.perf_counter()
                before = self.load(seed, name if number > 1 else '')
                picks = self._choose(before, labelled, seed, name)
                model = self.train([*labelled, *picks], seed, number, before)
                self._save(model, seed, name)
                record = self._measure(model, [*labelled, *picks]) | {
                    'picks': picks,
                    'seconds': time.perf_counter() - begin,
                }
                self._append({'seed': seed, 'arm': name, 'round': number, **record})
            labelled = [*labelled, *record['picks']]

    def start(self, seed: int) -> None:
        """Train on the first images, for all arms of a seed."""
        if (seed, '', 0) not in self.done():
            labelled = self.initial_images(seed)
            model = self.train(labelled, seed)
            self._save(model, seed, '')
            self._append({'seed': seed, 'arm': '', 'round': 0, **self._measure(model, labelled)})

    def initial_images(self, seed: int) -> list[int]:
        """Draw the images that are labelled at the start; few are of the night."""
        rng = np.random.default_rng((seed, 2))
        order = rng.permutation(len(self.pool))
        keep = ~self.pool.scenes.night[order] | (rng.random(len(order)) < INITIAL_NIGHT)
        return order[keep][: self.protocol.initial].tolist()

    def done(self) -> dict[tuple[int, str, int], dict[str, Any]]:
        """Return the records by seed, arm and round."""
        lines = self.records.read_text().splitlines() if self.records.exists() else []
        records = [json.loads(line) for line in lines]
        return {(record['seed'], record['arm'], record['round']): record for record in records}

    def train(
        self, labelled: Sequence[int], seed: int, number: int = 0, before: torch.nn.Module | None = None
    ) -> torch.nn.Module:
        """Train on images of the pool.

        Args:
            labelled: Their positions.
            seed: Of the study.
            number: Of the round; all arms draw the same batches of the same images.
            before: The model of the round before, None at the start.
        """
        initial, steps = self.initial_weights, self.protocol.start_steps
        if before is not None:
            initial, steps = before.state_dict(), self.protocol.steps
        return train_head(self.pool.subset(labelled), initial, 100 * seed + number, steps)

    def _choose(self, model: torch.nn.Module, labelled: Sequence[int], seed: int, name: str) -> list[int]:
        arm = ARMS[name]
        left = np.setdiff1d(np.arange(len(self.pool)), labelled)
        images = self.pool.subset(left)
        algorithm = ALGORITHMS.get(arm.algorithm)
        inspected = None if algorithm and not algorithm.passes else inspect(model, images, algorithm)
        stats = None if inspected is None else self.fit_stats(model, labelled)
        ranking = rank_images(arm, inspected, len(left), stats, seed, images.scenes)
        return left[ranking.positions[: self.protocol.step]].tolist()

    def fit_stats(self, model: torch.nn.Module, labelled: Sequence[int]) -> MiningStats:
        """Fit what a training leaves beside its weights."""
        images, validation = self.pool.subset(labelled), self.validation
        precision = np.array(evaluate(model, validation)['class_ap'])
        return fit_stats(
            inspect(model, images), images.scenes, inspect(model, validation), validation.scenes, precision
        )

    def _measure(self, model: torch.nn.Module, labelled: Sequence[int]) -> dict[str, Any]:
        counts = self.pool.scenes.class_counts[labelled].sum(0)
        scenes = len(np.unique(self.pool.scenes.scene[labelled]))
        counted = {'images': len(labelled), 'boxes': int(counts.sum()), 'class_boxes': counts.tolist()}
        return counted | {'scenes': scenes, **evaluate(model, self.test)}

    def _weights(self, seed: int, name: str) -> Path:
        return self.folder / f'weights_{seed}_{name or "start"}.pt'

    def _save(self, model: torch.nn.Module, seed: int, name: str) -> None:
        part = self._weights(seed, name).with_suffix('.part')
        torch.save(model.state_dict(), part)
        part.replace(self._weights(seed, name))

    def load(self, seed: int, name: str = '') -> torch.nn.Module:
        """Return the latest model of an arm, by default the one that all arms of a seed start from."""
        model = build_detector()
        model.load_state_dict(torch.load(self._weights(seed, name), weights_only=True))
        return model.eval()

    def _append(self, record: dict[str, Any]) -> None:
        line = json.dumps(record) + '\n'
        with open(self.records, 'a', encoding='utf-8') as file:  # one write: lines of processes do not mix
            file.write(line)
        print(f'{record["seed"]} {record["arm"] or "start"} {record["round"]}: AP50 {record["ap50"]:.3f}', flush=True)


STUDY: Study | None = None  # of the process, which its children get by the fork


def _run(job: tuple[int, str]) -> None:
    torch.set_num_threads(1)
    seed, arm = job
    STUDY.run_arm(seed, arm) if arm else STUDY.start(seed)


def main() -> None:
    """Run what is missing, then write table and plot."""
    global STUDY
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, required=True, help='folder for records, table and plot')
    parser.add_argument('--arms', nargs='+', default=['random', 'box_count', 'entropy', 'hybrid', 'hybrid_negated'])
    parser.add_argument('--seeds', nargs='+', type=int, default=None)
    parser.add_argument('--data-seed', type=int, default=0, help='of the generated images')
    parser.add_argument('--processes', type=int, default=os.cpu_count())
    parser.add_argument('--quick', action='store_true', help='a small form, to see that it runs')
    parser.add_argument('--table-only', action='store_true', help='run nothing')
    options = parser.parse_args()
    unknown = sorted(set(options.arms) - set(ARMS))
    if unknown:
        parser.error(f'--arms: {", ".join(unknown)} unknown; allowed: {", ".join(ARMS)}')
    if not options.table_only:
        logging.disable(logging.WARNING)
        torch.set_num_threads(1)
        STUDY = Study(QUICK if options.quick else Protocol(), options.data_seed, options.out)
        seeds = options.seeds or ([0, 1] if options.quick else [0, 1, 2, 3, 4])
        with multiprocessing.get_context('fork').Pool(options.processes, maxtasksperchild=1) as workers:
            workers.map(_run, [(seed, '') for seed in seeds], chunksize=1)
            workers.map(_run, [(seed, arm) for seed in seeds for arm in options.arms], chunksize=1)
    curve_table.write(options.out)


if __name__ == '__main__':
    main()
