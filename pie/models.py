"""Which detector of the zoo `model_name` means, in the spellings that users of the platform have."""

import re

from pie.parameters import Parameters
from pie.texts import PieError, warn
from tmi.errors import SettingError
from tmi.zoo.models import ZooModel, find_model

# Networks of other packages that users know, and what is trained in their place.
REPLACED = {'yolov3': 'yolov5_s', 'yolov4': 'yolov5_s', 'yolov4_tiny': 'yolov5_n', 'yolo': 'yolov5_s'}
# A family without a size.
SIZES = {'yolov5': 'yolov5_s', 'yolov6': 'yolov6_s', 'yolov7': 'yolov7_tiny', 'yolov8': 'yolov8_s', 'yolox': 'yolox_s'}
SIZES.update({'rtmdet': 'rtmdet_s', 'ppyoloe': 'ppyoloe_plus_s'})
# yolov5s, yolov8n, yoloxl: the size without a line before it.
JOINED = re.compile(r'(yolov\d|yolox|rtmdet|ppyoloe)_?(tiny|nano|[nsmlx])')
# Networks of the other tasks, so that the sentence says more than that they are unknown.
OTHER_TASKS = ('linknet', 'unet', 'deeplab', 'dinknet', 'segformer', 'pspnet', 'hrnet', 'siam', 'snunet')


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
    if any(word in wanted for word in OTHER_TASKS):
        raise PieError('model_of_other_task', name=model_name) from unknown
    raise PieError('model_unknown', name=model_name, reason=unknown.sentence) from unknown


def detector_of(parameters: Parameters) -> ZooModel:
    """Return the detector that the parameters name.

    Raises:
        PieError: There is none, or `type` names another task.
    """
    model = find_detector(parameters.model_name)
    if parameters.task not in (None, 'detection'):
        raise PieError('type_differs', type=parameters.type, task=parameters.task, model=parameters.model_name)
    return model
