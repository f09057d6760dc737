"""The end of an augmentation, colour and flip, left to the data preprocessor on the device."""

from collections.abc import Sequence
from typing import Any

Step = dict[str, Any]

# Transforms that can leave their pixels to the device, and those that may stand behind such.
COLOURS, FLIP = ('YOLOv5HSVRandomAug', 'YOLOXHSVRandomAug'), 'RandomFlip'
FAST = ('FastMosaic', 'FastImage')
LATER = ('RemoveDataElement', 'FilterAnnotations', 'PackDetInputs')
PREPROCESSOR, COLLATE = 'YOLOv5DetDataPreprocessor', 'yolov5_collate'


def takes_device_augment(preprocessor: Step, loader: Step) -> bool:
    """Return whether a model does what its transforms leave to the device.

    Args:
        preprocessor: Config of its data preprocessor.
        loader: Config of its training loader.

    Returns:
        False for images of several sizes too, which do not make a batch.
    """
    collate = loader.get('collate_fn') or {}
    return (
        preprocessor.get('type') == PREPROCESSOR
        and collate.get('type') == COLLATE
        and not collate.get('use_ms_training')
    )


def augment_on_device(pipeline: Sequence[Step]) -> list[Step]:
    """Let the last transforms of a pipeline draw, and leave the pixels to the device.

    Args:
        pipeline: Configs of transforms.

    Returns:
        New configs. Transforms behind which others need the pixels are as before.
    """
    result = list(pipeline)
    for index in reversed(range(len(result))):
        step = result[index]
        if step['type'] in (*COLOURS, FLIP):
            result[index] = dict(step, on_device=True)
        elif step['type'] in FAST and step.get('hsv'):  # its flip is part of the warp and costs nothing
            result[index] = dict(step, hsv=dict(step['hsv'], on_device=True))
            break
        elif step['type'] not in LATER:
            break
    return result
