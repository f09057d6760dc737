"""The numbers of a training that depend on how long it is.

The recipes of the configs are made for COCO: 118,000 images, 300 or 500 epochs, 128 images a step. A user's first data
set has 100 images and trains for 800 steps, in which a warm-up of 1,000 steps never ends, mosaics never close and the
average of the weights still follows every step. This file holds the rules that scale these numbers, and nothing else;
for a run of COCO's length they give the config's own.
"""

import math
from dataclasses import dataclass

# Shares of the whole run, each an upper limit for the number in the config.
WARMUP_SHARE = 0.1
CLOSE_MOSAIC_SHARE = 0.15
# The average of the weights reaches back over about this share of the run, once begun ...
EMA_WINDOW_SHARE = 0.05
# ... and approaches that reach over this share.
EMA_RAMP_SHARE = 0.1
# A run of a few steps still averages over some of them.
MAX_EMA_MOMENTUM = 0.2
# Below this many epochs a change of pipeline costs more (workers start anew) than it brings.
MIN_EPOCHS_TO_CLOSE_MOSAIC = 5


@dataclass(frozen=True)
class BaseRecipe:
    """What the config says.

    Args:
        lr: Learning rate.
        lr_factor: The rate falls to `lr * lr_factor`.
        warmup_epochs: Length of the warm-up in epochs ...
        warmup_min_iters: ... but at least so many steps.
        close_mosaic_epochs: Last epochs without mosaics; 0 where the config has no second pipeline.
        ema_momentum: Final share of a new step in the average of the weights.
        ema_gamma: Steps over which that share falls to it.
        first_assigner_share: Share of the epochs that assign boxes by shape alone; 0 where there is one assigner.
    """

    lr: float = 0.01
    lr_factor: float = 0.01
    warmup_epochs: float = 3.0
    warmup_min_iters: int = 1000
    close_mosaic_epochs: int = 10
    ema_momentum: float = 0.0001
    ema_gamma: int = 2000
    first_assigner_share: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """The numbers of one run.

    Args:
        num_images: Training images.
        total_batch: Images a step, over all processes.
        epochs: Length of the run.
        iters_per_epoch: Steps of an epoch.
        lr: Learning rate after the warm-up.
        lr_factor: It falls to `lr * lr_factor`.
        warmup_iters: Steps of the warm-up.
        close_mosaic_epochs: Last epochs without mosaics.
        ema_momentum: Final share of a new step in the average of the weights.
        ema_gamma: Steps over which that share falls to it.
        first_assigner_epochs: Epochs that assign boxes by shape alone.
    """

    num_images: int
    total_batch: int
    epochs: int
    iters_per_epoch: int
    lr: float
    lr_factor: float
    warmup_iters: int
    close_mosaic_epochs: int
    ema_momentum: float
    ema_gamma: int
    first_assigner_epochs: int = 0

    @property
    def total_iters(self) -> int:
        return self.iters_per_epoch * self.epochs

    def rows(self) -> list[tuple[str, str]]:
        """Return what and how much, for the table in the log."""
        closing = f'last {self.close_mosaic_epochs} epochs' if self.close_mosaic_epochs else 'never'
        by_shape = [('assigned by shape', f'first {self.first_assigner_epochs} epochs')]
        return [
            ('images', f'{self.num_images}'),
            ('length', f'{self.epochs} epochs x {self.iters_per_epoch} steps = {self.total_iters}'),
            ('images a step', f'{self.total_batch}'),
            ('learning rate', f'{self.lr:g}, falling to {self.lr * self.lr_factor:g}'),
            ('warm-up', f'{self.warmup_iters} steps'),
            ('mosaics closed', closing),
            *(by_shape if self.first_assigner_epochs else []),
            ('weight average', f'momentum {self.ema_momentum:g}, ramp {self.ema_gamma} steps'),
        ]


def make_recipe(
    num_images: int, total_batch: int, epochs: int, base: BaseRecipe = BaseRecipe(), lr: float | None = None
) -> Recipe:
    """Scale a config's numbers to the real length of a run.

    Args:
        num_images: Training images, at least 1.
        total_batch: Images a step, over all processes.
        epochs: Length of the run.
        base: The config's numbers.
        lr: A rate that the user asks for, taken as it is.

    Returns:
        The numbers of the run.
    """
    iters_per_epoch = max(math.ceil(num_images / total_batch), 1)
    total = iters_per_epoch * epochs
    warmup = max(round(base.warmup_epochs * iters_per_epoch), base.warmup_min_iters)
    # A run too short for its warm-up learns little from the first assigner, which knows nothing of the predictions.
    first_share = min(base.first_assigner_share, WARMUP_SHARE if warmup > WARMUP_SHARE * total else 1)
    closing = min(base.close_mosaic_epochs, round(CLOSE_MOSAIC_SHARE * epochs))
    return Recipe(
        num_images=num_images,
        total_batch=total_batch,
        epochs=epochs,
        iters_per_epoch=iters_per_epoch,
        lr=lr or base.lr,
        lr_factor=base.lr_factor,
        warmup_iters=max(min(warmup, round(WARMUP_SHARE * total)), 1),
        close_mosaic_epochs=closing if epochs >= MIN_EPOCHS_TO_CLOSE_MOSAIC else 0,
        ema_momentum=min(max(base.ema_momentum, 1 / (EMA_WINDOW_SHARE * total)), MAX_EMA_MOMENTUM),
        ema_gamma=max(min(base.ema_gamma, round(EMA_RAMP_SHARE * total)), 1),
        first_assigner_epochs=max(round(first_share * epochs), 1) if first_share else 0,
    )
