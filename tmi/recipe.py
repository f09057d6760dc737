"""The numbers of a training that depend on how long it is.

The recipes of the configs are made for COCO: 118,000 images, 300 or 500 epochs, 128 images a step. A user's first data
set has 100 images and trains for 800 steps, in which a warm-up of 1,000 steps never ends, mosaics never close and the
average of the weights still follows every step; and in which the optimizer of the recipe is hardly on its way. This
file holds the rules by which such numbers follow from the run, and nothing else; for a run of COCO's length they give
the config's own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
# With fewer steps than this from random weights, AdamW takes the place of SGD. The first gradients of SGD are 10 to 30
# times the limit of their norm, nearly all of it from the first layers: limited as a whole, they leave next to nothing
# to the last ones, and hundreds of steps pass before the whole network learns. AdamW gives each weight a step of about
# the same size. With 800 steps it was far better, with 1,500 to 2,000 equal, from trained weights worse
# (docs/training.md).
FEW_STEPS = 1750
FEW_STEPS_OPTIMIZER = 'AdamW'
FEW_STEPS_LR = 0.004
FEW_STEPS_MAX_GRADIENT = 10.0
# Images a step and process: the largest of these with which a run makes so many steps, else the smallest; norms need
# some images over all processes.
BATCH_SIZES = (8, 4, 2)
MIN_TOTAL_BATCH = 4
WANTED_STEPS = 1500
# Validations follow one another after so many steps, but there are so many in a run.
STEPS_BETWEEN_VALIDATIONS = 200
MIN_VALIDATIONS = 10


AUTO, PUBLIC = SCHEDULES = ('auto', 'public')


@dataclass(frozen=True)
class BaseRecipe:
    """What the config says.

    Args:
        lr: Learning rate.
        lr_factor: The rate falls to `lr * lr_factor`.
        warmup_epochs: Length of the warm-up in epochs ...
        warmup_min_iters: ... but at least so many steps.
        close_mosaic_epochs: Last epochs without mosaics; 0 where the config has no second pipeline.
        ema_momentum: Final share of a new step in the average of the weights; 0 where the config has no average.
        ema_gamma: Steps over which that share falls to it.
        first_assigner_share: Share of the epochs that assign boxes by shape alone; 0 where there is one assigner.
        optimizer: Its type, SGD or AdamW.
        few_steps_lr: Rate of its AdamW in runs of few steps from random weights; None where it is always `lr`.
        queries_keep_lr: Whether what queries begin with keeps `lr` in those runs.
        denoising_groups: How many queries begin at a noised box of each object, beside those of the published form.
        few_steps_without: What the config has, by name, and runs of few steps from random weights do without.
        max_gradient: A limit of the norm of the gradients that short runs need; None for that of the config.
        batch_size: Images a step and process.
        val_interval: Epochs between two validations.
        pretrained: Whether the run starts from a trained detector.
    """

    lr: float = 0.01
    lr_factor: float = 0.01
    warmup_epochs: float = 3.0
    warmup_min_iters: int = 1000
    close_mosaic_epochs: int = 10
    ema_momentum: float = 0.0001
    ema_gamma: int = 2000
    first_assigner_share: float = 0.0
    optimizer: str = 'SGD'
    few_steps_lr: float | None = None
    queries_keep_lr: bool = False
    denoising_groups: int = 0
    few_steps_without: tuple[str, ...] = ()
    max_gradient: float | None = None
    batch_size: int = 16
    val_interval: int = 10
    pretrained: bool = False


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
        ema_momentum: Final share of a new step in the average of the weights; 0 without an average.
        ema_gamma: Steps over which that share falls to it.
        first_assigner_epochs: Epochs that assign boxes by shape alone.
        optimizer: Its type; other than that of the config in runs of few steps.
        query_lr: Learning rate of what queries begin with, where it is another.
        denoising_groups: How many queries begin at a noised box of each object.
        without: What the config has, by name, and this run does without.
        max_gradient: Limit of the norm of the gradients; None for that of the config.
        val_interval: Epochs between two validations.
        reasons: Name of a row -> why it holds what it does, where that is not the config's own.
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
    optimizer: str = 'SGD'
    query_lr: float | None = None
    denoising_groups: int = 0
    without: tuple[str, ...] = ()
    max_gradient: float | None = None
    val_interval: int = 1
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def total_iters(self) -> int:
        return self.iters_per_epoch * self.epochs

    def rows(self) -> list[tuple[str, str]]:
        """Return what, how much and, where it is not the config's own, why, for the table in the log."""
        closing = [('mosaics closed', f'last {self.close_mosaic_epochs} epochs')]
        average = [('weight average', f'momentum {self.ema_momentum:g}, ramp {self.ema_gamma} steps')]
        denoising = [('denoising', f'{self.denoising_groups} noised boxes of each object')]
        by_shape = [('assigned by shape', f'first {self.first_assigner_epochs} epochs')]
        of_queries = f', of queries {self.query_lr:g}' if self.query_lr else ''
        limit = f', gradients up to {self.max_gradient:g}' if self.max_gradient else ''
        rows = [
            ('images', f'{self.num_images}'),
            ('length', f'{self.epochs} epochs x {self.iters_per_epoch} steps = {self.total_iters}'),
            ('images a step', f'{self.total_batch}'),
            ('optimizer', f'{self.optimizer}{limit}'),
            ('learning rate', f'{self.lr:g}, falling to {self.lr * self.lr_factor:g}{of_queries}'),
            ('warm-up', f'{self.warmup_iters} steps'),
            *(denoising if self.denoising_groups else []),
            *([('left out', ', '.join(self.without))] if self.without else []),
            *(closing if self.close_mosaic_epochs else []),
            *(by_shape if self.first_assigner_epochs else []),
            *(average if self.ema_momentum else []),
            ('validations', 'every epoch' if self.val_interval == 1 else f'every {self.val_interval} epochs'),
        ]
        return [(name, f'{value} ({self.reasons[name]})' if name in self.reasons else value) for name, value in rows]


def choose_batch_size(num_images: int, num_processes: int, epochs: int) -> int:
    """Return the images a step and process with which a run makes enough steps.

    Args:
        num_images: Training images.
        num_processes: Processes that train together.
        epochs: Length of the run.
    """
    sizes = [size for size in BATCH_SIZES if size * num_processes >= MIN_TOTAL_BATCH]
    enough = (size for size in sizes if math.ceil(num_images / (size * num_processes)) * epochs >= WANTED_STEPS)
    return next(enough, sizes[-1])


def make_recipe(
    num_images: int,
    total_batch: int,
    epochs: int,
    base: BaseRecipe = BaseRecipe(),
    lr: float | None = None,
    schedule: str = AUTO,
    optimizer: str | None = None,
    val_interval: int | None = None,
) -> Recipe:
    """Scale a config's numbers to the real length of a run.

    Args:
        num_images: Training images, at least 1.
        total_batch: Images a step, over all processes.
        epochs: Length of the run.
        base: The config's numbers.
        lr: A rate that the user asks for, taken as it is, with the config's optimizer.
        schedule: 'auto', or 'public' for the config's own numbers.
        optimizer: Type of one that must stay, as in a training that runs already; None to choose it.
        val_interval: Epochs between two validations, where the user says so.

    Returns:
        The numbers of the run.
    """
    iters_per_epoch = max(math.ceil(num_images / total_batch), 1)
    total = iters_per_epoch * epochs
    own_numbers = schedule == PUBLIC
    as_config_says = bool(lr or own_numbers or base.pretrained)
    if optimizer is None:
        optimizer = FEW_STEPS_OPTIMIZER if total < FEW_STEPS and not as_config_says else base.optimizer
    reasons = {}
    query_lr = None
    if base.optimizer == FEW_STEPS_OPTIMIZER or optimizer != FEW_STEPS_OPTIMIZER:
        optimizer, chosen_lr, max_gradient = base.optimizer, base.lr, None if own_numbers else base.max_gradient
        if base.few_steps_lr and not as_config_says:
            chosen_lr = max(base.few_steps_lr * min(math.sqrt(FEW_STEPS / total), 1), base.lr)
        if chosen_lr != base.lr:
            query_lr = base.lr if base.queries_keep_lr else None
            reasons['learning rate'] = f'{total} steps from random weights are few for {base.lr:g}'
    else:
        chosen_lr, max_gradient = FEW_STEPS_LR, FEW_STEPS_MAX_GRADIENT
        reasons['optimizer'] = f'{total} steps from random weights are few for {base.optimizer}'
        reasons['learning rate'] = f'of {optimizer}'
    without = () if own_numbers or base.pretrained or total >= FEW_STEPS else base.few_steps_without
    if without:
        reasons['left out'] = f'{total} steps from random weights are few'
    return Recipe(
        num_images=num_images,
        total_batch=total_batch,
        epochs=epochs,
        iters_per_epoch=iters_per_epoch,
        lr=lr or chosen_lr,
        lr_factor=base.lr_factor,
        optimizer=optimizer,
        query_lr=query_lr,
        denoising_groups=0 if own_numbers else base.denoising_groups,
        without=without,
        max_gradient=max_gradient,
        reasons=reasons,
        **(_own_numbers if own_numbers else _scaled_numbers)(base, epochs, iters_per_epoch, val_interval),
    )


def _own_numbers(base: BaseRecipe, epochs: int, iters_per_epoch: int, val_interval: int | None) -> dict[str, Any]:
    """Return the numbers that depend on the length as the config has them."""
    return {
        'warmup_iters': max(round(base.warmup_epochs * iters_per_epoch), base.warmup_min_iters),
        'close_mosaic_epochs': min(base.close_mosaic_epochs, epochs - 1),
        'ema_momentum': base.ema_momentum,
        'ema_gamma': base.ema_gamma,
        'first_assigner_epochs': round(base.first_assigner_share * epochs),
        'val_interval': val_interval or min(base.val_interval, epochs),
    }


def _scaled_numbers(base: BaseRecipe, epochs: int, iters_per_epoch: int, val_interval: int | None) -> dict[str, Any]:
    """Return the numbers that depend on the length, scaled to it."""
    total = iters_per_epoch * epochs
    warmup = max(round(base.warmup_epochs * iters_per_epoch), base.warmup_min_iters)
    # A run too short for its warm-up learns little from the first assigner, which knows nothing of the predictions.
    first_share = min(base.first_assigner_share, WARMUP_SHARE if warmup > WARMUP_SHARE * total else 1)
    closing = min(base.close_mosaic_epochs, round(CLOSE_MOSAIC_SHARE * epochs))
    shortest = 1 / (EMA_WINDOW_SHARE * total)
    apart = min(math.ceil(STEPS_BETWEEN_VALIDATIONS / iters_per_epoch), epochs // MIN_VALIDATIONS)
    return {
        'warmup_iters': max(min(warmup, round(WARMUP_SHARE * total)), 1),
        'close_mosaic_epochs': closing if epochs >= MIN_EPOCHS_TO_CLOSE_MOSAIC else 0,
        'ema_momentum': base.ema_momentum and min(max(base.ema_momentum, shortest), MAX_EMA_MOMENTUM),
        'ema_gamma': max(min(base.ema_gamma, round(EMA_RAMP_SHARE * total)), 1),
        'first_assigner_epochs': max(round(first_share * epochs), 1) if first_share else 0,
        'val_interval': val_interval or max(apart, 1),
    }
