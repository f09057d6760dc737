"""What each training process runs: tools/train.py, in which no type of a config is imported by its name."""

import runpy
import warnings

from tmi.paths import TOOLS_ROOT

# How warnings begin that nobody can do anything about: the memory format of the weights is chosen for speed.
USELESS_WARNINGS = ('Grad strides do not match bucket view strides',)


def run_train_script() -> None:
    """Run tools/train.py with the arguments of this process."""
    for beginning in USELESS_WARNINGS:
        warnings.filterwarnings('ignore', beginning)

    from mmyolo.utils.config_types import registered_only  # an error of this import is to be reported like any other

    with registered_only():
        runpy.run_path(str(TOOLS_ROOT / 'train.py'), run_name='__main__')
