"""Drawing of predictions; boxes and masks are drawn by mmdet."""

from .pose_visualizer import PoseLocalVisualizer
from .rot_local_visualizer import RotLocalVisualizer

__all__ = ['PoseLocalVisualizer', 'RotLocalVisualizer']
