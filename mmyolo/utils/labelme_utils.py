"""The public import path of mmyolo.tools.demo.labelme_utils."""

from ..tools.demo.labelme_utils import *  # noqa: F403
