"""A stand-in for `mmcv._ext`, so that mmcv.ops and all of mmdet import without compiled operators.

mmcv asks its extension for every operator when it is imported, and calls few. Here the ones that detectors need are
written in PyTorch (OPERATORS); any other exists by name and says, when called, how to get it. A compiled extension,
where there is one, is kept.
"""

import importlib
import importlib.machinery
import sys
import types

from .mmcv_rotated import box_iou_rotated, diff_iou_rotated_sort_vertices_forward, nms_rotated
from .nms import nms
from .soft_nms import softnms

NAME = 'mmcv._ext'
OPERATORS = {
    'nms': nms,
    'softnms': softnms,
    'box_iou_rotated': box_iou_rotated,
    'nms_rotated': nms_rotated,
    'diff_iou_rotated_sort_vertices_forward': diff_iou_rotated_sort_vertices_forward,
}


class _StandIn(types.ModuleType):
    """Has every operator by name; the ones not written here raise when called."""

    def __getattr__(self, name: str):
        if name.startswith('__'):
            raise AttributeError(name)

        def missing(*args, **kwargs):
            raise NotImplementedError(
                f'The operator {name!r} of mmcv is not compiled here and has no PyTorch version in mmyolo. '
                'To use it, compile mmcv: MMCV_WITH_OPS=1 pip install --force-reinstall --no-deps '
                '--no-build-isolation --no-binary onedl-mmcv onedl-mmcv'
            )

        missing.__name__ = name
        return missing


def install_mmcv_ext() -> bool:
    """Register the stand-in when no compiled extension can be imported.

    Returns:
        True if the stand-in is in place, False if the compiled extension is.
    """
    module = sys.modules.get(NAME)
    if module is None:
        try:
            module = importlib.import_module(NAME)
        except ImportError:
            module = _StandIn(NAME, __doc__)
            module.__spec__ = importlib.machinery.ModuleSpec(NAME, loader=None)
            module.__file__ = __file__
            vars(module).update(OPERATORS)
            sys.modules[NAME] = module
            if 'mmcv' in sys.modules:
                sys.modules['mmcv']._ext = module
    elif getattr(type(module), 'lacks_operators', False):  # of another package, which calls none
        vars(module).update(OPERATORS)
        return True
    return isinstance(module, _StandIn)
