"""Which network `model_name` means, and by that which task, in the spellings that users of the platform have."""

import difflib
import re
from typing import TYPE_CHECKING

from pie.networks import DEFAULTS, NETWORKS, NetworkKind
from pie.texts import PieError, warn
from tmi.errors import SettingError
from tmi.zoo.models import ZooModel, find_model, models

if TYPE_CHECKING:
    from pie.parameters import Parameters
    from pie.predict_parameters import PredictParameters

# Networks of other packages that users know, and what is trained in their place.
REPLACED = {'yolov3': 'yolov5_s', 'yolov4': 'yolov5_s', 'yolov4_tiny': 'yolov5_n', 'yolo': 'yolov5_s'}
# A family without a size.
SIZES = {'yolov5': 'yolov5_s', 'yolov6': 'yolov6_s', 'yolov7': 'yolov7_tiny', 'yolov8': 'yolov8_s', 'yolox': 'yolox_s'}
SIZES.update({'rtmdet': 'rtmdet_s', 'ppyoloe': 'ppyoloe_plus_s', 'vidt': 'vidt_nano'})
# yolov5s, yolov8n, yoloxl: the size without a line before it.
JOINED = re.compile(r'(yolov\d|yolox|rtmdet|ppyoloe)_?(tiny|nano|[nsmlx])')
# Networks of segmentation that users know from elsewhere; the fast one is trained in their place.
SEGMENTERS = ('unet', 'deeplab', 'dinknet', 'segformer', 'pspnet', 'hrnet', 'fcn', 'segnet', 'bisenet', 'pidnet')


def find_detector(model_name: str) -> ZooModel:
    """Find the detector that a user means.

    Args:
        model_name: Of the parameters.

    Returns:
        The model.

    Raises:
        PieError: There is none.
    """
    wanted = re.sub(r'[\s-]+', '_', model_name.strip().lower())
    joined = JOINED.fullmatch(wanted)
    for name in (wanted, '_'.join(joined.groups()) if joined else ''):
        if name:
            try:
                return find_model(name)
            except SettingError as error:
                unknown = error
    replacement = REPLACED.get(wanted) or SIZES.get(wanted)
    if replacement:
        warn('model_replaced', name=model_name, used=replacement)
        return find_model(replacement)
    names = [*NETWORKS, *(model.name for model in models())]
    near = difflib.get_close_matches(wanted, names, 4) or list(DEFAULTS.values())
    raise PieError('model_unknown', name=model_name, near=', '.join(near)) from unknown


def network_of(parameters: 'Parameters | PredictParameters') -> tuple[str, ZooModel | NetworkKind]:
    """Return the task and the network that the parameters name.

    Raises:
        PieError: There is none, or `type` names another task.
    """
    task, network = _find(parameters.model_name)
    if parameters.task not in (None, task):
        raise PieError(
            'type_differs', type=parameters.type, task=parameters.task, model=parameters.model_name, own=task
        )
    return task, network


def _find(model_name: str) -> tuple[str, ZooModel | NetworkKind]:
    wanted = re.sub(r'[\s-]+', '_', model_name.strip().lower())
    network = NETWORKS.get(wanted)
    if network is None and any(word in wanted for word in SEGMENTERS):
        task = 'change' if wanted.startswith('siam') else 'segmentation'
        network = NETWORKS[DEFAULTS[task]]
        warn('model_replaced', name=model_name, used=network.name)
    return (network.task, network) if network else ('detection', find_detector(model_name))
