"""The codebase and the task of mmdeploy; without mmdeploy they are names that say what they need."""

import importlib.util

WAY_OUT = (
    'Export with tools/export.py instead, which writes ONNX files for ONNX Runtime, OpenVINO and TensorRT and '
    'needs no mmdeploy; see docs/export.md'
)


class _NeedsMMDeploy(type):
    """Makes every use of a class but its name an error."""

    def _fail(cls, what: str) -> None:
        raise ImportError(f'{what} needs the package mmdeploy, which is not installed. {WAY_OUT}')

    def __call__(cls, *args, **kwargs):
        cls._fail(f'mmyolo.deploy.{cls.__name__}')

    def __getattr__(cls, name: str):
        if name.startswith('_'):  # what copying, printing and inspection look for
            raise AttributeError(name)
        cls._fail(f'mmyolo.deploy.{cls.__name__}.{name}')


if importlib.util.find_spec('mmdeploy') is not None:
    from .task import MMYOLO, MMCodebase, YOLOObjectDetection
else:

    class MMCodebase(metaclass=_NeedsMMDeploy):
        """mmdeploy's class of codebases."""

    class MMYOLO(MMCodebase):
        """The codebase of mmyolo."""

    class YOLOObjectDetection(metaclass=_NeedsMMDeploy):
        """The task of object detection."""


__all__ = ['MMCodebase', 'MMYOLO', 'YOLOObjectDetection']
