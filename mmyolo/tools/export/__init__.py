"""Detectors as ONNX files: raw maps, with suppression by standard operators, or ready for TensorRT.

Needs the packages onnx and, to run and check files, onnxruntime: `pip install onnx onnxruntime`. Nothing here is
imported by `mmyolo` itself.
"""

from .check import CheckReport, check_export
from .exporter import ExportOptions, export_onnx
from .runtime import OnnxDetector

__all__ = ['CheckReport', 'ExportOptions', 'OnnxDetector', 'check_export', 'export_onnx']
