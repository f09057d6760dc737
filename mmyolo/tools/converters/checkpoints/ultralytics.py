"""Names in YOLOv5, YOLOv5u and YOLOv8 files of ultralytics, where every layer is a number."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from .rules import CONV, KeyMap, Place, Rename, place_keys

SPPF = (Rename(r'^\.cv(\d)', r'.conv\1'),)
BLOCKS = Rename(r'^\.m\.(\d+)\.cv(\d)', r'.blocks.\1.conv\2')
# Two convolutions beside each other and one behind them.
C3 = (BLOCKS, Rename(r'^\.cv1', '.main_conv'), Rename(r'^\.cv2', '.short_conv'), Rename(r'^\.cv3', '.final_conv'))
# One that is split, and one behind.
C2F = (BLOCKS, Rename(r'^\.cv1', '.main_conv'), Rename(r'^\.cv2', '.final_conv'))
PROTO = Rename(r'^\.proto\.cv(\d)', r'.proto_pred.conv\1')
ANCHOR_HEAD = (Rename(r'^\.m\.', '.convs_pred.'), PROTO)
FREE_HEAD = (
    Rename(r'^\.cv2\.', '.reg_preds.'),
    Rename(r'^\.cv3\.', '.cls_preds.'),
    Rename(r'^\.cv4\.(\d)\.2\.', r'.mask_coeff_preds.\1.2.conv.'),
    Rename(r'^\.cv4\.', '.mask_coeff_preds.'),
    Rename(r'^\.proto\.cv(\d)', r'.proto_preds.conv\1'),
)
HEAD = 'bbox_head.head_module'


def _places(rows: Sequence[tuple[int, str, Sequence[Rename]]]) -> list[Place]:
    return [Place(f'model.{index}', target, layers) for index, target, layers in rows]


def _backbone(stages: int, csp: Sequence[Rename]) -> list[tuple[int, str, Sequence[Rename]]]:
    rows = [(0, 'backbone.stem', CONV)]
    for stage in range(1, stages + 1):
        rows += [(2 * stage - 1, f'backbone.stage{stage}.0', CONV), (2 * stage, f'backbone.stage{stage}.1', csp)]
    return rows + [(2 * stages + 1, f'backbone.stage{stages}.2', SPPF)]


_V5_P5_NECK = [
    (10, 'neck.reduce_layers.2', CONV),
    (13, 'neck.top_down_layers.0.0', C3),
    (14, 'neck.top_down_layers.0.1', CONV),
    (17, 'neck.top_down_layers.1', C3),
    (18, 'neck.downsample_layers.0', CONV),
    (20, 'neck.bottom_up_layers.0', C3),
    (21, 'neck.downsample_layers.1', CONV),
    (23, 'neck.bottom_up_layers.1', C3),
]
_V5_P6_NECK = [
    (12, 'neck.reduce_layers.3', CONV),
    (15, 'neck.top_down_layers.0.0', C3),
    (16, 'neck.top_down_layers.0.1', CONV),
    (19, 'neck.top_down_layers.1.0', C3),
    (20, 'neck.top_down_layers.1.1', CONV),
    (23, 'neck.top_down_layers.2', C3),
    (24, 'neck.downsample_layers.0', CONV),
    (26, 'neck.bottom_up_layers.0', C3),
    (27, 'neck.downsample_layers.1', CONV),
    (29, 'neck.bottom_up_layers.1', C3),
    (30, 'neck.downsample_layers.2', CONV),
    (32, 'neck.bottom_up_layers.2', C3),
]
_V8_NECK = [
    (12, 'neck.top_down_layers.0', C2F),
    (15, 'neck.top_down_layers.1', C2F),
    (16, 'neck.downsample_layers.0', CONV),
    (18, 'neck.bottom_up_layers.0', C2F),
    (19, 'neck.downsample_layers.1', CONV),
    (21, 'neck.bottom_up_layers.1', C2F),
]
_ANCHORS = (r'^model\.\d+\.anchor',)
_DFL = (r'^model\.\d+\.dfl\.',)  # its weights are the numbers 0 to 15

KEYS: dict[str, KeyMap] = {
    'yolov5': KeyMap('YOLOv5', _places([*_backbone(4, C3), *_V5_P5_NECK, (24, HEAD, ANCHOR_HEAD)]), _ANCHORS),
    'yolov5-p6': KeyMap('YOLOv5 P6', _places([*_backbone(5, C3), *_V5_P6_NECK, (33, HEAD, ANCHOR_HEAD)]), _ANCHORS),
    'yolov5u': KeyMap('YOLOv5u', _places([*_backbone(4, C3), *_V5_P5_NECK, (24, HEAD, FREE_HEAD)]), _DFL),
    'yolov8': KeyMap('YOLOv8', _places([*_backbone(4, C2F), *_V8_NECK, (22, HEAD, FREE_HEAD)]), _DFL),
}


def translate_yolov5(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the names of YOLOv5; models for 1280 pixels (P6) are those with a layer 33."""
    is_p6 = any(key.startswith('model.33.') for key in state)
    return place_keys(state, KEYS['yolov5-p6' if is_p6 else 'yolov5'])


def translate_yolov5u(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the names of YOLOv5u."""
    return place_keys(state, KEYS['yolov5u'])


def translate_yolov8(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the names of YOLOv8."""
    return place_keys(state, KEYS['yolov8'])
