"""Metrics of validation and test."""

from mmyolo.standins.mmpose.keypoint_metric import KeypointCocoMetric
from mmyolo.standins.mmrotate.dota_metric import DOTAMetric

from .coco_metric import FastCocoMetric

__all__ = ['DOTAMetric', 'FastCocoMetric', 'KeypointCocoMetric']
