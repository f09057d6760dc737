"""COCO's persons with their keypoints, an image with all its objects at a time.

Unlike the public release, this needs no mmpose, and the description of the keypoints is found from any working
directory.
"""

import numpy as np
from mmdet.datasets import CocoDataset

from mmyolo.registry import DATASETS
from mmyolo.standins.mmpose.keypoint_info import load_keypoint_info

from .yolov5_coco import YOLOv5CocoDataset


@DATASETS.register_module()
class PoseCocoDataset(YOLOv5CocoDataset):
    """Boxes and keypoints from a file in COCO's format.

    Objects that are a crowd, or of which the file gives no keypoints, are not loaded.

    Args:
        *args, **kwargs: of `YOLOv5CocoDataset`. `metainfo` may name `from_file`, a description of other keypoints, and
            `classes`, by default 'person'.
        data_mode: only 'bottomup', an image with all its objects at a time.
    """

    METAINFO: dict = {'from_file': 'configs/_base_/pose/coco.py', 'classes': ('person',), 'palette': [(220, 20, 60)]}

    def __init__(self, *args, data_mode: str = 'bottomup', **kwargs) -> None:
        if data_mode != 'bottomup':
            raise ValueError(
                f"data_mode of PoseCocoDataset is {data_mode!r}; 'bottomup' alone is supported, which "
                'gives an image with all its objects at a time'
            )
        self.data_mode = data_mode
        super().__init__(*args, **kwargs)

    @classmethod
    def _load_metainfo(cls, metainfo: dict | None = None) -> dict:
        given = dict(metainfo or {})
        description = given.pop('from_file', None)  # mmengine would take it for a list of names
        merged = super()._load_metainfo(given)
        default = merged.pop('from_file')
        return {**load_keypoint_info(description or default), **merged}

    def parse_data_info(self, raw_data_info: dict) -> dict | list[dict]:
        """Read an image and its objects.

        Args:
            raw_data_info: `raw_img_info` and `raw_ann_info` of the file.

        Returns:
            mmdet's `img_id`, `img_path`, `height`, `width` and `instances`; and `bbox` (n, 4) xyxy in pixels,
            `category_id`, the labels counted from 1, `keypoints` (n, K, 2), `keypoints_visible` (n, K), 0 or 1,
            `flip_indices`, and `id`, that of the image.
        """
        raw_data_info = self._with_size(raw_data_info)
        count = self._metainfo['num_keypoints']
        instances, keypoints = [], []
        for annotation in raw_data_info['raw_ann_info']:
            # mmdet decides on one annotation at a time which are valid, so that keypoints stay with their box.
            info = CocoDataset.parse_data_info(self, dict(raw_data_info, raw_ann_info=[annotation]))
            points = annotation.get('keypoints')
            if info['instances'] and not info['instances'][0]['ignore_flag'] and points:
                if len(points) != 3 * count:
                    raise ValueError(
                        f'Annotation {annotation.get("id")} of {self.ann_file} has {len(points) / 3:g} '
                        f'keypoints, the metainfo describes {count}'
                    )
                instances += info['instances']
                keypoints.append(points)
        info = CocoDataset.parse_data_info(self, dict(raw_data_info, raw_ann_info=[]))
        keypoints = np.array(keypoints, dtype=np.float32).reshape(-1, count, 3)
        return dict(
            info,
            id=info['img_id'],
            instances=instances,
            bbox=np.array([one['bbox'] for one in instances], dtype=np.float32).reshape(-1, 4),
            category_id=[one['bbox_label'] + 1 for one in instances],
            keypoints=keypoints[..., :2],
            keypoints_visible=keypoints[..., 2].clip(0, 1),
            flip_indices=self._metainfo['flip_indices'],
        )

    def describe(self, idx: int) -> dict:
        """Return what the pipeline gets of one image: its description, and this data set under `dataset`.

        Args:
            idx: Index of the image.
        """
        return dict(self.get_data_info(idx), dataset=self)
