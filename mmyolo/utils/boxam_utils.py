"""The public import path of mmyolo.tools.demo.boxam_utils."""

from ..tools.demo.boxam_utils import *  # noqa: F403
