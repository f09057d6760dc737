"""Drawing of predictions; boxes and masks are drawn by mmdet."""

from mmyolo.standins.mmpose.pose_visualizer import PoseLocalVisualizer
from mmyolo.standins.mmrotate.rot_local_visualizer import RotLocalVisualizer

__all__ = ['PoseLocalVisualizer', 'RotLocalVisualizer']
