"""What mmdeploy, a package that is not part of this project, needs to export the detectors.

A deploy config names this package in `codebase_config.module`. Importing works without mmdeploy; what needs it says so
when it is used. `tools/export.py` writes ONNX files without it. `mmyolo` itself never imports this package.
"""

from .object_detection import MMYOLO, MMCodebase, YOLOObjectDetection

__all__ = ['MMCodebase', 'MMYOLO', 'YOLOObjectDetection']
