"""Ending a training that does not get better (`patience`).

mmengine's EarlyStoppingHook takes an equal value for an improvement, ends at once at NaN and waits for ever where
nothing can be measured, so a model that stays at 0 would train to its last epoch.
"""

import math

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from tmi.families.base import Family
from tmi.training.metrics import clean_metrics, metric_names

STATE = 'patience'  # in the message hub


@HOOKS.register_module()
class PatienceHook(Hook):
    """Stop after so many validations in a row whose mAP is not above the best one before.

    A validation that measures nothing (no object: -1, NaN or no number at all) counts as mAP 0, as it does in
    result.yaml.

    Args:
        patience: How many validations, at least 1.
        metric_prefix: Of the family.
    """

    priority = 'LOW'  # before the validation is saved, and with it how long was waited

    def __init__(self, patience: int, metric_prefix: str = Family.metric_prefix) -> None:
        self.patience = patience
        self.metric_prefix = metric_prefix
        self.best = -math.inf
        self.waited = 0

    def before_train(self, runner) -> None:
        """Go on as a training did that is resumed; one that had waited long enough ends.

        Args:
            runner: The runner.
        """
        found = runner.message_hub.runtime_info.get(STATE) if runner.iter else None
        if found:
            self.best, self.waited = found
            runner.train_loop.stop_training = self.waited >= self.patience

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Compare a validation with the best one.

        Args:
            runner: The runner.
            metrics: What the evaluator found.
        """
        mean_ap = clean_metrics(metrics or {}, self.metric_prefix)['mAP']
        if mean_ap > self.best:
            self.best, self.waited = mean_ap, 0
        else:
            self.waited += 1
        runner.message_hub.update_info(STATE, [self.best, self.waited])
        if self.waited >= self.patience:
            runner.train_loop.stop_training = True
            runner.logger.info(
                'The training ends after epoch %d: no better %s than %.4f in the last %d validations (patience).',
                runner.epoch,
                next(iter(metric_names(self.metric_prefix).values())),
                self.best,
                self.waited,
            )
