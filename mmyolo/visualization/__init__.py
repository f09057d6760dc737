"""Drawing of predictions; boxes and masks are drawn by mmdet."""
from .pose_visualizer import PoseLocalVisualizer

__all__ = ['PoseLocalVisualizer']
