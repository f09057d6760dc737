"""The end of an augmentation, colour and flip, left to the data preprocessor on the device."""

from collections.abc import Sequence
from typing import Any

Step = dict[str, Any]

# Transforms that can leave their pixels to the device, and those that may stand behind such.
COLOURS, FLIP = ('YOLOv5HSVRandomAug', 'YOLOXHSVRandomAug'), 'RandomFlip'
FAST, CROP = ('FastMosaic', 'FastImage'), 'FastCrop'
LATER = ('RemoveDataElement', 'FilterAnnotations', 'PackDetInputs')
COLLATE = 'yolov5_collate'
# Whether the images of a batch may have several sizes -> which preprocessor does what is left to it.
PREPROCESSORS = {False: 'YOLOv5DetDataPreprocessor', True: 'PPYOLOEDetDataPreprocessor'}


def takes_device_augment(preprocessor: Step, loader: Step) -> bool:
    """Return whether a model does what its transforms leave to the device.

    Args:
        preprocessor: Config of its data preprocessor.
        loader: Config of its training loader.

    Returns:
        Whether it does.
    """
    collate = loader.get('collate_fn') or {}
    expected = PREPROCESSORS[bool(collate.get('use_ms_training'))]
    return preprocessor.get('type') == expected and collate.get('type') == COLLATE


def augment_on_device(pipeline: Sequence[Step], loader: Step) -> list[Step]:
    """Let the last transforms of a pipeline draw, and leave the pixels to the device.

    Args:
        pipeline: Configs of transforms.
        loader: Config of the training loader. Images of several sizes, which make no batch, get their colours and
            their canvas there (FastCrop); those of one size colour and flip.

    Returns:
        New configs. Transforms behind which others need the pixels are as before.
    """
    result = list(pipeline)
    several_sizes = (loader.get('collate_fn') or {}).get('use_ms_training')
    for index in reversed(range(len(result))):
        step = result[index]
        if several_sizes:
            if step['type'] == CROP:
                result[index] = dict(step, on_device=True)
            if step['type'] not in LATER:
                break
        elif step['type'] in (*COLOURS, FLIP):
            result[index] = dict(step, on_device=True)
        elif step['type'] in FAST and step.get('hsv'):  # its flip is part of the warp and costs nothing
            result[index] = dict(step, hsv=dict(step['hsv'], on_device=True))
            break
        elif step['type'] not in LATER:
            break
    return result
