"""mmengine's runner with a log for users of a platform.

mmengine begins with 600 lines about compilers, the whole config and the order of hooks, and asks the system for a
compiler that the image does not have. The config of a run stands in its work folder; with `log_level` debug all but the
compilers is shown.
"""

import logging
from typing import Any

import mmengine
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

import mmyolo

# How messages begin that are of no use to users of a platform.
USELESS = (
    'Hooks will be executed in the following order',
    'Exp name: ',
    'Distributed training is not used',
    'Switched the model to its deployed form',
    '`resume_param_scheduler` is True but',  # rates that a hook sets need none
)


def is_useful(record: logging.LogRecord) -> bool:
    """Return whether a message of mmengine goes to the log that is shown."""
    return not record.getMessage().startswith(USELESS)


@RUNNERS.register_module()
class TaskRunner(Runner):
    """A runner whose log holds what a user can use; the log file beside the models holds all."""

    @classmethod
    def from_cfg(cls, cfg: Config) -> 'TaskRunner':
        """Build a runner, whose config stands in its work folder as mmengine writes it, one value a line.

        Args:
            cfg: Of the run. To format it would take half a second.

        Returns:
            The runner.
        """
        cfg.__dict__['_format_python_code'] = False
        return super().from_cfg(cfg)

    def build_logger(self, log_level: Any = 'INFO', **kwargs: Any) -> MMLogger:
        """Build mmengine's logger.

        Args:
            log_level: The lowest level that is shown.
            **kwargs: Of mmengine's runner.

        Returns:
            The logger.
        """
        logger = super().build_logger(log_level, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler) and handler.level > logging.DEBUG:
                handler.addFilter(is_useful)
        return logger

    def _log_env(self, env_cfg: dict) -> None:
        """One line instead of what mmengine collects."""
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'
        self.logger.info(
            'torch %s, mmengine %s, mmyolo %s on %s, %d process(es), seed %s',
            torch.__version__,
            mmengine.__version__,
            mmyolo.__version__,
            device,
            self._world_size,
            self._seed,
        )
        if self.logger.isEnabledFor(logging.DEBUG):
            self.logger.debug('Config:\n%s', self.cfg.pretty_text)
