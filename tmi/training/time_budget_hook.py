"""A training that ends inside a time budget (`max_minutes`).

From the first steps on the number of epochs follows from what steps and validations take on this machine, and the
schedule from the number of epochs: the config of a run of that length is made (`modify_mmengine_config`), and the
training that runs is moved to it (`Family.reschedule`). The plan is checked all the time, and changed when it would end
too early or too late. In the last phase, the one without mosaics, more must be missing before it is made longer: then
the rate rises once more, and mosaics do not come back.
"""

import bisect
import logging
import statistics
import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from tmi.families import family_of
from tmi.families.reschedule import Done
from tmi.inference.plan import predicting_processes
from tmi.training.config import TrainingConfig, modify_mmengine_config
from tmi.training.task_file import read_task
from tmi.training.time_plan import AIM, EARLIEST, LATEST, Costs, Length, Position, Validations, longest, seconds_left
from tmi.training.training_state import SECONDS_USED

FIRST_STEPS = 5  # before the first plan
SKIPPED_STEPS = 2  # in which processes start and libraries choose their algorithms
FREE_STEPS = 50  # after which the optimizer stays; before, another one takes its place where the length asks for it
CHECK_SECONDS = 5.0  # from one check of the plan to the next, within an epoch
# Steps take the mean of those in the last half of the training so far, but of half of the time that is left where that
# is less, and of so many at least: what was measured over some time says most about as much time to come. A machine
# that is busy for a while is not slow for ever, and the nearer the end, the sooner what has changed must show.
# Validations take the mean of those in the last half of the training, but of so many at least.
RECENT_SHARE, RECENT_STEPS, RECENT_VALIDATIONS = 0.5, 20, 3
# Until there is a measurement, a validation takes this and, for each image, this share of what training on one takes.
VALIDATION_SECONDS, VALIDATION_SHARE = 1.0, 0.5
# What follows the training takes this, so many times what its own start took, as several processes start then, and, for
# each image looked at, this share of what training on one takes. On a machine that others load, processes that start
# together slow one another down: at its own start this process was computing in a small share of the time then. But
# they do so no more than to share what one had, and half as much again is computed before and after them.
ENDING_SECONDS, STARTS, EXAMINATION_SHARE = 4.0, 1.25, 0.5
EXPORT_SECONDS = 15.0  # besides, where the best model is exported
BUSY_SHARE, ALONE = 0.7, 0.5
LAST_PHASE = 0.85  # of a run without a change of pipeline
LAST_PHASE_EARLIEST = 0.92  # share of the budget, as EARLIEST before it
ROUNDS = 4
WORTH_A_LINE = 0.1  # a number of epochs that has changed by this share is logged again


class Decision(NamedTuple):
    """What one process decides for all.

    Args:
        length: Of the run.
        next_check: The step at which the plan is checked again.
        ends: Seconds from the beginning of the task to its end, as planned.
        costs: What it was decided by.
    """

    length: Length
    next_check: int
    ends: float
    costs: Costs


@HOOKS.register_module()
class TimeBudgetHook(Hook):
    """Set the length of a training so that its task ends in time; it needs `TaskTrainLoop`.

    Args:
        task_file: Of `write_task`.
        started: When the task began, as `time.monotonic` has it.
        seconds: The budget of the whole task.
        launched: When this training was started.
        num_validated: Images of a validation.
        num_examined: Images that are looked at after the training.
    """

    priority = 'LOWEST'

    def __init__(
        self, task_file: str, started: float, seconds: float, launched: float, num_validated: int, num_examined: int
    ) -> None:
        self.task = read_task(Path(task_file))
        self.model_config = Config.fromfile(self.task.model.config)
        self.started, self.seconds, self.launched = started, seconds, launched
        self.num_validated, self.num_examined = num_validated, num_examined
        on_cpu = self.task.device == 'cpu'
        self.num_predicting = predicting_processes(num_examined) if on_cpu else self.task.node_processes
        self.config_for = lru_cache(4)(self._config_for)
        self.optimizer: str | None = None  # to be chosen
        self.step_ends: list[float] = []  # the clock at each end of a step, without the validations before
        self.validations: list[float] = []
        self.epoch_ended = 0.0
        self.next_check = FIRST_STEPS
        self.said: Length | None = None
        self.is_warned = False

    def before_train(self, runner) -> None:
        """Note how long it takes to start processes, and what the plan is so far."""
        launch = time.monotonic() - self.launched
        self.computed = max(min(time.process_time(), launch), 0.1 * launch)
        self.contention = launch / max(self.computed, 1e-6)  # 1 on a machine that this process has to itself
        self.config: Config = runner.cfg
        self.family = family_of(runner.cfg.model)
        self.length = Length(runner.max_epochs, runner.max_iters)
        self.batch_size = runner.train_dataloader.batch_size
        if runner.iter:
            self.optimizer = runner.cfg.optim_wrapper.optimizer.type

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, torch.Tensor] | None = None
    ) -> None:
        """Check the plan, every few seconds.

        Args:
            runner: The runner.
            batch_idx: Step in the epoch.
            data_batch: Unused.
            outputs: Unused.
        """
        self.step_ends.append(time.monotonic() - sum(self.validations))
        if len(self.step_ends) >= self.next_check:
            self._check(runner, Done(runner.iter + 1, runner.epoch), runner.epoch + 1)

    def after_train_epoch(self, runner) -> None:
        """Check the plan before it is decided whether there is a validation, and whether another epoch follows."""
        self.epoch_ended = time.monotonic()
        self._check(runner, Done(runner.iter, runner.epoch + 1), runner.epoch + 1)

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Note how long the validation took, and check the plan.

        Args:
            runner: The runner.
            metrics: Unused.
        """
        self.validations.append(time.monotonic() - self.epoch_ended)
        self._check(runner, Done(runner.iter, runner.epoch), runner.epoch + 1)

    def before_save_checkpoint(self, runner, checkpoint: dict[str, Any]) -> None:
        """Note how much of the budget is used.

        Args:
            runner: Unused.
            checkpoint: That is saved.
        """
        checkpoint['meta'][SECONDS_USED] = time.monotonic() - self.started

    def _check(self, runner, done: Done, next_end: int) -> None:
        if len(self.step_ends) <= SKIPPED_STEPS:
            return
        if self.optimizer is None and done.steps > FREE_STEPS:
            self.optimizer = runner.cfg.optim_wrapper.optimizer.type
            self.config_for.cache_clear()
        decision = [self._decide(runner, Position(done.steps, next_end)) if is_main_process() else None]
        broadcast_object_list(decision)
        self.next_check = decision[0].next_check
        if decision[0].length != self.length:
            self._follow(runner, decision[0].length, done)
        said = self.said.steps if self.said else 0
        if abs(self.length.steps - said) > WORTH_A_LINE * said:
            self.said = self.length
            self._say(runner, decision[0])

    def _decide(self, runner, position: Position) -> Decision:
        steps_per_epoch = len(runner.train_dataloader)
        is_last_phase = self._is_last_phase(position, steps_per_epoch)
        costs = self._costs(runner)
        earliest = LAST_PHASE_EARLIEST if is_last_phase else EARLIEST
        is_longest = self.length.epochs == self.task.most_epochs
        next_check = len(self.step_ends) + max(int(CHECK_SECONDS / costs.step), 1)
        spent = time.monotonic() - self.started

        def end(length: Length, config: Config) -> float:
            return spent + seconds_left(costs, _validations(config), position, length)

        planned = end(self.length, self.config) / self.seconds
        if earliest <= planned <= LATEST or planned < earliest and is_longest:
            return Decision(self.length, next_check, planned * self.seconds, costs)
        config = self.config
        for _ in range(ROUNDS):  # how many validations there are may follow from the number of epochs
            length = longest(
                costs,
                _validations(config),
                position,
                steps_per_epoch,
                AIM * self.seconds - spent,
                EARLIEST * self.seconds - spent,
            )
            if self.task.most_epochs and length.epochs > self.task.most_epochs:
                length = Length(self.task.most_epochs, self.task.most_epochs * steps_per_epoch)
            if length.epochs == config.train_cfg.max_epochs:
                break
            config = self.config_for(length.epochs).run
        if not self.is_warned and end(length, config) > self.seconds:
            self.is_warned = True
            runner.logger.warning(
                'max_minutes: %g is too short for this task, which takes %.1f minutes with a training that ends after '
                'step %d.',
                self.seconds / 60,
                end(length, config) / 60,
                length.steps,
            )
        return Decision(length, next_check, end(length, config), costs)

    def _is_last_phase(self, position: Position, steps_per_epoch: int) -> bool:
        closing = self.config_for(self.length.epochs).recipe.close_mosaic_epochs
        last_phase = (self.length.epochs - closing) * steps_per_epoch if closing else LAST_PHASE * self.length.steps
        return position.steps >= last_phase

    def _costs(self, runner) -> Costs:
        ends = self.step_ends
        left = self.started + self.seconds - time.monotonic()
        start = ends[-1] - RECENT_SHARE * min(ends[-1] - ends[SKIPPED_STEPS - 1], left)
        first = min(bisect.bisect_left(ends, start), len(ends) - 1 - RECENT_STEPS)
        first = max(first, SKIPPED_STEPS - 1)
        step = max((ends[-1] - ends[first]) / (len(ends) - 1 - first), 1e-6)
        image = step / runner.train_dataloader.batch_size / self.task.node_processes
        if self.validations:
            recent = max(int(RECENT_SHARE * len(self.validations)), RECENT_VALIDATIONS)
            validation = statistics.mean(self.validations[-recent:])
        else:
            validation = VALIDATION_SECONDS + VALIDATION_SHARE * image * self.num_validated
        first_steps = ends[SKIPPED_STEPS - 1 : SKIPPED_STEPS + RECENT_STEPS]
        slower = step * (len(first_steps) - 1) / max(first_steps[-1] - first_steps[0], 1e-6)  # than when it began
        contention = max(self.contention * slower, 1.0)
        busy = min(BUSY_SHARE * contention, ALONE + self.num_predicting)
        starts = self.computed * contention * max(STARTS, busy)
        ending = ENDING_SECONDS + starts + EXAMINATION_SHARE * image * self.num_examined
        ending += EXPORT_SECONDS if self.task.params.export_onnx else 0.0
        return Costs(step, validation, ending)

    def _follow(self, runner, length: Length, done: Done) -> None:
        if length.epochs != self.length.epochs:
            training = self.config_for(length.epochs)
            self.config = training.run
            self.family.reschedule(runner, training.run, done)
            rows = [list(row) for row in training.recipe.rows()]
            runner.message_hub.update_info('plan', {'epochs': length.epochs, 'recipe': rows})
        runner.train_loop.set_length(
            length.epochs,
            length.steps,
            self.config.train_cfg.val_interval,
            self.config.train_cfg.get('dynamic_intervals'),
        )
        self.length = length

    def _say(self, runner, decision: Decision) -> None:
        runner.logger.info(
            'Planned for %g minutes: %d epochs (%d steps), so that the task ends after %.1f minutes. A step takes '
            '%.3f s, a validation %.1f s, what follows the training %.0f s.',
            self.seconds / 60,
            self.length.epochs,
            self.length.steps,
            decision.ends / 60,
            *vars(decision.costs).values(),
        )

    def _config_for(self, epochs: int) -> TrainingConfig:
        changes = {'max_epochs': epochs, 'samples_per_gpu': self.batch_size}
        task = replace(self.task, params=self.task.params.model_copy(update=changes), optimizer=self.optimizer)
        logger = logging.getLogger('tmi')
        before, logger.disabled = logger.disabled, True  # what it says was said before the training
        try:
            return modify_mmengine_config(self.model_config, task)
        finally:
            logger.disabled = before


def _validations(config: Config) -> Validations:
    """Return which epochs of a run are validated."""
    interval, dynamic = config.train_cfg.val_interval, config.train_cfg.get('dynamic_intervals')
    # mmengine's loop changes the interval one epoch before the milestone.
    return Validations(interval, config.train_cfg.max_epochs - dynamic[0][0] + 2 if dynamic else 0)
