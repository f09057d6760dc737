"""Predictions as files of the annotation tool labelme."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData

from ...utils.files import write_json

LABELME_VERSION = '5.1.1'


class LabelmeFormat:
    """Writes the boxes of one image after another as labelme files.

    Args:
        classes: names, in the order of their labels.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = classes

    def __call__(
        self,
        pred_instances: InstanceData,
        metainfo: Mapping,
        output_path: str,
        selected_classes: Sequence[str] | None = None,
    ) -> None:
        """Write one file.

        Args:
            pred_instances: `bboxes` (n, 4) xyxy in pixels of the image, `labels` (n,).
            metainfo: `img_path` and `ori_shape` (height, width) of the image.
            output_path: the JSON file.
            selected_classes: names of the classes to write, all by default.

        Raises:
            ValueError: if boxes are rotated; a labelme rectangle has two corners.
        """
        boxes = get_box_tensor(pred_instances.bboxes)
        if len(boxes) and boxes.shape[-1] != 4:
            raise ValueError(f'labelme files hold horizontal boxes (n, 4), got {tuple(boxes.shape)}')
        height, width = metainfo['ori_shape'][:2]
        shapes = []
        for box, label in zip(boxes.tolist(), pred_instances.labels.tolist()):
            name = self.classes[label]
            if selected_classes is None or name in selected_classes:
                shapes.append(
                    dict(label=name, points=[box[:2], box[2:]], group_id=None, shape_type='rectangle', flags={})
                )
        content = {
            'version': LABELME_VERSION,
            'flags': {},
            'imagePath': str(Path(metainfo['img_path']).absolute()),
            'imageData': None,
            'imageHeight': height,
            'imageWidth': width,
            'shapes': shapes,
        }
        write_json(output_path, content, indent=2)
