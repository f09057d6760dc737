"""The public import path of mmyolo.tools.demo.large_image."""

from ..tools.demo.large_image import *  # noqa: F403
