"""Training a network of pixels: the loop, the augmentation, and what each epoch leaves."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from pie.labels import Label
from pie.networks import NETWORKS, PixelNetwork
from pie.outputs import Outputs
from pie.pictures import write_picture
from pie.pixel_input import normalised, resized
from pie.pixel_labels import paint
from pie.pixel_metrics import count_pixels, mean_iou, pixel_rows
from pie.termination import Termination
from pie.texts import say
from pie.trainlog import ALL, TrainLog
from tmi.checkpoint_io import adapt_state_dict, load_checkpoint
from tmi.devices import available_cpus
from tmi.errors import ModelError, NotFiniteError

DEFAULT_RATE = 0.002
WEIGHT_DECAY = 0.01
WARMUP = 0.05  # share of the steps
LAST_RATE = 0.01  # share of the rate
LARGEST_WEIGHT = 10.0  # of a rare class
MIN_LOADED = 0.5  # share of the tensors; with fewer the weights are those of another network
CACHE_BYTES = 2 * 1024**3
PICTURE_NAMES = {1: ('image',), 2: ('A', 'B')}


@dataclass(frozen=True)
class PixelJob:
    """What the training process is given.

    Args:
        network: A name of `NETWORKS`.
        labels: Classes, background included.
        size: (width, height) of the input.
        epochs: Length.
        batch_size: Samples a step.
        rate: Learning rate, 0 for that of the network.
        auto_termination: Whether to end when the accuracy rises no more.
        gpus: How many; 0 is the CPU.
        train: Files of each sample, the label as training values last.
        valid: Likewise.
        pixels: Of each class in the training labels.
        output_dir: The folder `output/`.
        stem: Name of the weights file without `.th`.
        description: What stands beside the weights.
        weights: File to start from, '' for none.
    """

    network: str
    labels: list[Label]
    size: tuple[int, int]
    epochs: int
    batch_size: int
    rate: float
    auto_termination: bool
    gpus: int
    train: list[list[str]]
    valid: list[list[str]]
    pixels: list[int]
    output_dir: str
    stem: str
    description: dict[str, Any]
    weights: str = ''

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding='utf-8')

    @classmethod
    def read(cls, path: Path) -> 'PixelJob':
        """Read what `write` wrote."""
        content = json.loads(path.read_text(encoding='utf-8'))
        labels = [Label(one['name'], one['value'], one['title'], tuple(one['color'])) for one in content['labels']]
        return cls(**{**content, 'labels': labels, 'size': tuple(content['size'])})


class PixelDataset(Dataset):
    """Samples at the size of the input, kept in memory as far as it goes.

    Args:
        samples: Files of each, the label last.
        size: (width, height).
        augment: Whether to change them at random.
    """

    def __init__(self, samples: Sequence[Sequence[str]], size: tuple[int, int], augment: bool) -> None:
        self.samples, self.size, self.augment = samples, size, augment
        self.kept: dict[int, tuple[list[np.ndarray], np.ndarray]] = {}
        self.room = CACHE_BYTES // (size[0] * size[1] * (3 * (len(samples[0]) - 1) + 1))

    def __len__(self) -> int:
        return len(self.samples)

    def load(self, index: int) -> tuple[list[np.ndarray], np.ndarray]:
        """Return pictures (h, w, 3) RGB and training values (h, w) of a sample, both uint8."""
        if index in self.kept:
            return self.kept[index]
        *files, label = self.samples[index]
        pictures = []
        for file in files:
            picture = cv2.imread(file, cv2.IMREAD_COLOR)
            if picture is None:
                raise OSError(f'{file} cannot be read any more')
            pictures.append(resized(picture, self.size)[:, :, ::-1])
        values = cv2.resize(cv2.imread(label, cv2.IMREAD_UNCHANGED), self.size, interpolation=cv2.INTER_NEAREST)
        if len(self.kept) < self.room:
            self.kept[index] = pictures, values
        return pictures, values

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return (pictures, 3, h, w) normalised float32 and (h, w) int64."""
        pictures, values = self.load(index)
        if self.augment:
            pictures, values = augmented(pictures, values)
        return normalised(np.stack(pictures)), torch.from_numpy(values.astype(np.int64))


def augmented(pictures: Sequence[np.ndarray], values: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Turn, mirror, scale and shift a sample as a whole, and change light and contrast of each picture alone.

    Args:
        pictures: (h, w, 3) uint8 each.
        values: (h, w) uint8.
    """
    height, width = values.shape
    turns = int(torch.randint(4, ())) if height == width else 2 * int(torch.randint(2, ()))
    mirror, grow = bool(torch.rand(()) < 0.5), float(torch.rand(())) * 0.75 + 0.75
    sides = [min(round(side / grow), side) if grow > 1 else side for side in (width, height)]
    x, y = (int(torch.randint(full - side + 1, ())) for full, side in zip((width, height), sides))

    def place(array: np.ndarray, method: int) -> np.ndarray:
        array = np.rot90(array, turns)
        array = array[:, ::-1] if mirror else array
        array = np.ascontiguousarray(array[y : y + sides[1], x : x + sides[0]])
        return cv2.resize(array, (width, height), interpolation=method) if sides != [width, height] else array

    changed = []
    for picture in pictures:
        light, contrast = (torch.rand(2) * 0.4 - 0.2).tolist()
        table = np.clip((np.arange(256) - 128) * (1 + contrast) + 128 + 255 * light / 2, 0, 255).astype(np.uint8)
        changed.append(cv2.LUT(place(picture, cv2.INTER_LINEAR), table))
    return changed, place(values, cv2.INTER_NEAREST)


def class_weights(pixels: Sequence[int]) -> Tensor:
    """Return the weights of the classes in the loss: those of rare ones are larger, by the root of their share."""
    counts = torch.tensor(pixels, dtype=torch.float64)
    shares = counts / counts.sum()
    weights = torch.where(shares > 0, shares.clamp(min=1e-12).rsqrt(), 1.0).clamp(max=LARGEST_WEIGHT)
    return (weights / (weights * shares).sum()).float()


def pixel_loss(logits: Tensor, values: Tensor, weights: Tensor) -> Tensor:
    """Return cross entropy, weighted by class, plus Dice, which the size of a class leaves alone.

    Args:
        logits: (n, classes, h, w).
        values: (n, h, w) training values.
        weights: (classes,).
    """
    entropy = functional.cross_entropy(logits, values, weights)
    shares = logits.softmax(dim=1)
    truth = functional.one_hot(values, logits.shape[1]).movedim(-1, 1).to(shares.dtype)
    common, total = (shares * truth).sum(dim=(0, 2, 3)), (shares + truth).sum(dim=(0, 2, 3))
    present = truth.sum(dim=(0, 2, 3)) > 0
    dice = 1 - (2 * common + 1) / (total + 1)
    return entropy + dice[present].mean()


def rate_factor(step: int, steps: int) -> float:
    """Return the share of the learning rate: rising over the first steps, then falling as a cosine."""
    warmup = max(round(WARMUP * steps), 1)
    if step < warmup:
        return (step + 1) / warmup
    return LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))) / 2


def take_weights(network: PixelNetwork, path: Path) -> None:
    """Take the tensors of equal shape from a file of weights.

    Raises:
        ModelError: It is broken, or of another network.
    """
    state = network.state_dict()
    adaptation = adapt_state_dict(load_checkpoint(path)['state_dict'], state, {}, None, ())
    if len(adaptation.loaded) < MIN_LOADED * len(state):
        raise ModelError(
            f'The weights {path.name} do not belong to this network: {len(adaptation.loaded)} of {len(state)} tensors '
            'fit. Choose weights of the same model_name, or none.'
        )
    network.load_state_dict(adaptation.state_dict)
    say('loaded', count=len(adaptation.loaded), total=len(state))


class PixelTraining:
    """One training.

    Args:
        job: What to train.
    """

    def __init__(self, job: PixelJob) -> None:
        torch.manual_seed(0)
        self.job = job
        self.device = torch.device('cuda' if job.gpus else 'cpu')
        self.network = NETWORKS[job.network].build(len(job.labels))
        if job.weights:
            take_weights(self.network, Path(job.weights))
        self.network.to(self.device)
        self.parallel: nn.Module = self.network
        if job.gpus > 1:
            self.parallel = nn.DataParallel(self.network, list(range(job.gpus)))
        self.weights = class_weights(job.pixels).to(self.device)
        workers = min(4, available_cpus()) if job.gpus else 0
        self.train_data, self.valid_data = (
            PixelDataset(samples, job.size, augment) for samples, augment in ((job.train, True), (job.valid, False))
        )
        common: dict[str, Any] = {
            'batch_size': job.batch_size,
            'num_workers': workers,
            'persistent_workers': bool(workers),
            'pin_memory': bool(job.gpus),
        }
        self.train_loader = DataLoader(self.train_data, shuffle=True, **common)
        self.valid_loader = DataLoader(self.valid_data, **common)
        self.steps = len(self.train_loader) * job.epochs
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=job.rate or DEFAULT_RATE, weight_decay=WEIGHT_DECAY
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: rate_factor(step, self.steps))
        self.outputs = Outputs(Path(job.output_dir), job.stem)
        self.names = [one.name for one in job.labels]
        self.best: tuple[tuple[int, float], int, np.ndarray] | None = None

    def run(self) -> None:
        """Train all epochs."""
        termination = Termination() if self.job.auto_termination else None
        for epoch in range(1, self.job.epochs + 1):
            train_counts, train_loss = self.pass_over(self.train_loader, learn=True)
            valid_counts, valid_loss = self.pass_over(self.valid_loader, learn=False)
            train = pixel_rows(train_counts, self.names, train_loss)
            valid = pixel_rows(valid_counts, self.names, valid_loss)
            say(
                'pixel_epoch',
                epoch=epoch,
                epochs=self.job.epochs,
                train_loss=f'{train_loss:.4f}',
                loss=f'{valid_loss:.4f}',
                iou=f'{valid[ALL]["IoU"]:.4f}',
                score=f'{valid[ALL]["score"]:.4f}',
            )
            self.write_pictures()
            self.outputs.write_weights(self.network.state_dict(), self.job.description)
            TrainLog.read(self.outputs.log).add_epoch(epoch, train, valid, ended=epoch == self.job.epochs)
            ends = termination is not None and termination.add(valid[ALL]['IoU'], train_loss)
            if ends and epoch < self.job.epochs:
                say('ended_early', epoch=epoch, count=termination.waited, best=f'{termination.best:.4f}')
            print(f'[Process: {epoch}/{self.job.epochs}]', flush=True)
            if ends:
                return

    def pass_over(self, loader: DataLoader, learn: bool) -> tuple[np.ndarray, float]:
        """Go once over a set.

        Args:
            loader: Of the set.
            learn: Whether to train.

        Returns:
            Counts of pixels, and the mean loss.

        Raises:
            NotFiniteError: The loss is no number.
        """
        self.network.train(learn)
        counts, total, done = np.zeros((len(self.names),) * 2, np.int64), 0.0, 0
        self.best = None
        with torch.set_grad_enabled(learn):
            for pictures, values in loader:
                pictures, values = pictures.to(self.device), values.to(self.device)
                logits = self.parallel(pictures)
                loss = pixel_loss(logits, values, self.weights)
                if learn:
                    self.optimizer.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
                    self.optimizer.step()
                    self.schedule.step()
                total += float(loss.detach()) * len(values)
                found, truth = logits.argmax(dim=1).cpu().numpy(), values.cpu().numpy()
                counts += count_pixels(found, truth, len(self.names))
                if not learn:
                    self.keep_best(done, found, truth)
                done += len(values)
        mean = total / len(loader.dataset)
        if not math.isfinite(mean):
            raise NotFiniteError('The loss is not a number: set learning_rate lower, or choose no pre-trained model.')
        return counts, mean

    def keep_best(self, first: int, found: np.ndarray, truth: np.ndarray) -> None:
        """Keep the validation sample with the best prediction, of those that show more than one class.

        Args:
            first: Number of the first sample of the batch.
            found: (n, h, w) training values.
            truth: Likewise.
        """
        for offset, (one, right) in enumerate(zip(found, truth)):
            rank = min(len(np.unique(right)), 2), mean_iou(count_pixels(one, right, len(self.names)))
            if self.best is None or rank > self.best[0]:
                self.best = rank, first + offset, one

    def write_pictures(self) -> None:
        """Write the sample that `keep_best` kept."""
        _, index, found = self.best
        pictures, values = self.valid_data.load(index)
        for name, picture in zip(PICTURE_NAMES[len(pictures)], pictures):
            write_picture(self.outputs.picture(name), np.ascontiguousarray(picture[:, :, ::-1]))
        write_picture(self.outputs.picture('label'), paint(values, self.job.labels))
        write_picture(self.outputs.picture('pred'), paint(found, self.job.labels))
