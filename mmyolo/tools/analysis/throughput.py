"""How many images per second a detector takes, one at a time, images loaded before the clock starts."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner, load_checkpoint
from torch import nn
from torch.utils.data import DataLoader

from mmyolo.registry import MODELS
from mmyolo.utils.folding import fold_batch_norms

WARM_UP = 5  # first images, which do not count


@dataclass
class Throughput:
    """One measurement.

    Args:
        images: How many were measured.
        seconds: What they took.
    """

    images: int
    seconds: float

    @property
    def fps(self) -> float:
        """Images per second."""
        return self.images / self.seconds

    @property
    def milliseconds(self) -> float:
        """Milliseconds per image."""
        return 1000 * self.seconds / self.images


def build_model(cfg: Config, checkpoint: str | None, fuse: bool) -> nn.Module:
    """Build the detector on the GPU, or without one on the CPU.

    Args:
        cfg: The config.
        checkpoint: Its weights; None keeps random ones.
        fuse: Whether to merge batch norms into the convolutions before them.
    """
    model = MODELS.build(cfg.model)
    if checkpoint is not None:
        load_checkpoint(model, checkpoint, map_location='cpu')
    model = model.eval()
    if fuse:
        fold_batch_norms(model)
    return model.to(get_device())


def build_loader(cfg: Config) -> DataLoader:
    """Build the loader of the test set with one image a batch and no further processes."""
    loader = cfg.test_dataloader.copy()
    loader.update(batch_size=1, num_workers=0, persistent_workers=False, pin_memory=torch.cuda.is_available())
    dataset = loader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    if dataset.get('batch_shapes_cfg'):
        dataset.batch_shapes_cfg.batch_size = 1
    return Runner.build_dataloader(loader, seed=0)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure(
    model: nn.Module,
    batches: Iterable[dict],
    max_iter: int = 2000,
    log_interval: int = 50,
    log: Callable[[str], None] = print,
) -> Throughput:
    """Measure `test_step` of each batch: preparation, network and post-processing.

    Args:
        model: Of `build_model`.
        batches: Of one image each; reading them does not count.
        max_iter: Stop after so many, those of the warm-up included.
        log_interval: Print the speed after so many.
        log: Takes a line of text.

    Returns:
        Of what was measured, also where the batches end before `max_iter`.

    Raises:
        ValueError: If nothing was left after the warm-up.
    """
    times: list[float] = []
    images = 0
    for images, batch in enumerate(batches, 1):
        _wait()
        begin = time.perf_counter()
        with torch.no_grad():
            model.test_step(batch)
        _wait()
        if images > WARM_UP:
            times.append(time.perf_counter() - begin)
            if images % log_interval == 0:
                so_far = Throughput(len(times), sum(times))
                log(f'Image {images} of {max_iter}: {so_far.fps:.1f} img/s, {so_far.milliseconds:.1f} ms/img')
        if images >= max_iter:
            break
    if not times:
        raise ValueError(
            f'Of {images} images the first {WARM_UP} are warm-up, so nothing was measured; a test set of '
            f'more images and --max-iter above {WARM_UP} are needed'
        )
    return Throughput(len(times), sum(times))
