"""The sampler of a head in training."""

from collections.abc import Mapping
from typing import Any

from mmyolo.registry import TASK_UTILS


def build_sampler(train_cfg: Mapping, head: Any) -> Any:
    """Build what turns the result of an assigner into positive priors.

    Args:
        train_cfg: settings of training; `sampler` is a config, by default all positive priors are taken.
        head: the head, which some samplers ask for.
    """
    cfg = train_cfg.get('sampler', {'type': 'mmdet.PseudoSampler'})
    return TASK_UTILS.build(cfg, default_args={'context': head})
