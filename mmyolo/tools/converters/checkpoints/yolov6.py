"""Names in YOLOv6 files of Meituan, versions 2 and 3."""

from collections.abc import Mapping

from torch import Tensor

from .rules import CONV, KeyMap, Place, Rename, place_keys

# Convolutions beside each other, and the blocks of one of them.
BLOCK = (Rename(r'^\.cv(\d)\.', r'.conv\1.'), Rename(r'^\.m\.', '.block.'))
FUSION = (Rename(r'^\.cv(\d)\.', r'.conv\1.'), Rename(r'\.upsample_transpose\.', '.'))

_BACKBONE = [
    Place('backbone.stem', 'backbone.stem'),
    *(
        Place(f'backbone.ERBlock_{stage + 1}.{layer}', f'backbone.stage{stage}.0.{layer}', BLOCK)
        for stage in range(1, 5)
        for layer in range(2)
    ),
    Place('backbone.ERBlock_5.2', 'backbone.stage4.1', BLOCK),
]
_NECK = [
    Place('neck.reduce_layer0', 'neck.reduce_layers.2'),
    Place('neck.Rep_p4', 'neck.top_down_layers.0.0', BLOCK),
    Place('neck.reduce_layer1', 'neck.top_down_layers.0.1'),
    Place('neck.Rep_p3', 'neck.top_down_layers.1', BLOCK),
    Place('neck.downsample2', 'neck.downsample_layers.0'),
    Place('neck.Rep_n3', 'neck.bottom_up_layers.0', BLOCK),
    Place('neck.downsample1', 'neck.downsample_layers.1'),
    Place('neck.Rep_n4', 'neck.bottom_up_layers.1', BLOCK),
]
_UPSAMPLE = [
    Place(f'neck.upsample{level}.upsample_transpose', f'neck.upsample_layers.{level}', CONV) for level in range(2)
]
_FUSION = [Place(f'neck.Bifusion{level}', f'neck.upsample_layers.{level}', FUSION) for level in range(2)]
_PARTS = ('stems', 'cls_convs', 'reg_convs', 'cls_preds', 'reg_preds')
_DROPPED = (r'^detect\.proj', r'^detect\.anchors')


def _head(reg_preds: str = 'reg_preds') -> list[Place]:
    return [
        Place(f'detect.{reg_preds if part == "reg_preds" else part}', f'bbox_head.head_module.{part}')
        for part in _PARTS
    ]


KEYS = KeyMap('YOLOv6', [*_BACKBONE, *_NECK, *_UPSAMPLE, *_head()], _DROPPED)
KEYS_V3 = KeyMap('YOLOv6 v3', [*_BACKBONE, *_NECK, *_FUSION, *_head()], _DROPPED)
# Sizes that were distilled have a second head of distributions, of use in their training only.
KEYS_V3_DISTILLED = KeyMap(
    'YOLOv6 v3', [*_BACKBONE, *_NECK, *_FUSION, *_head('reg_preds_lrtb')], (*_DROPPED, r'^detect\.reg_preds\.')
)


def translate_yolov6(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the names of version 2 and before."""
    return place_keys(state, KEYS)


def translate_yolov6_v3(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the names of version 3."""
    distilled = any(key.startswith('detect.reg_preds_lrtb.') for key in state)
    return place_keys(state, KEYS_V3_DISTILLED if distilled else KEYS_V3)
