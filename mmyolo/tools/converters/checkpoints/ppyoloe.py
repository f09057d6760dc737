"""Names in PPYOLOE and PPYOLOE+ files of PaddleDetection."""

from collections.abc import Mapping

from torch import Tensor

from .rules import KeyMap, Place, Rename, place_keys

NORM = (Rename(r'\._mean$', '.running_mean'), Rename(r'\._variance$', '.running_var'))
CSP = (
    Rename(r'\.convs\.', '.blocks.'),
    Rename(r'\.spp\.conv\.', '.spp.conv2.'),
    Rename(r'^(\.blocks\.\d+\.conv2)\.conv1\.', r'\1.rbr_dense.'),
    Rename(r'^(\.blocks\.\d+\.conv2)\.conv2\.', r'\1.rbr_1x1.'),
    Rename(r'^\.attn\.fc\.', '.attn.fc.conv.'),
    *NORM,
)
HEAD = 'bbox_head.head_module'

_BACKBONE = [
    *(Place(f'backbone.stem.conv{index + 1}', f'backbone.stem.{index}', NORM) for index in range(3)),
    *(Place(f'backbone.stages.{stage}', f'backbone.stage{stage + 1}.0', CSP) for stage in range(4)),
]
_STAGES = {
    'fpn_stages.0': 'reduce_layers.2',
    'fpn_stages.1': 'top_down_layers.0',
    'fpn_stages.2': 'top_down_layers.1',
    'pan_stages.0': 'bottom_up_layers.1',
    'pan_stages.1': 'bottom_up_layers.0',
}
_ROUTES = {
    'fpn_routes.0': 'upsample_layers.0.0',
    'fpn_routes.1': 'upsample_layers.1.0',
    'pan_routes.0': 'downsample_layers.1',
    'pan_routes.1': 'downsample_layers.0',
}
_HEAD = {'stem_cls': 'cls_stems', 'stem_reg': 'reg_stems', 'pred_cls': 'cls_preds', 'pred_reg': 'reg_preds'}

_MORE_LAYERS = [f'neck.{stage}.{layer}' for stage in _STAGES for layer in (1, 2)]  # no published file has them

# A small stem has two convolutions only. The convolution proj_conv holds the numbers 0 to 16.
KEYS = KeyMap(
    'PPYOLOE',
    [
        *_BACKBONE,
        *(
            Place(f'neck.{theirs}.{layer}', f'neck.{ours}.{layer}', CSP)
            for theirs, ours in _STAGES.items()
            for layer in range(3)
        ),
        *(Place(f'neck.{theirs}', f'neck.{ours}', NORM) for theirs, ours in _ROUTES.items()),
        # Their levels are counted from the coarsest.
        *(
            Place(f'yolo_head.{theirs}.{level}', f'{HEAD}.{ours}.{2 - level}', NORM)
            for theirs, ours in _HEAD.items()
            for level in range(3)
        ),
    ],
    dropped=(r'anchor_points$', r'stride_tensor$', r'\.proj_conv\.'),
    optional=('backbone.stem.conv3', *_MORE_LAYERS),
)
KEYS_BACKBONE = KeyMap('the backbone of PPYOLOE', _BACKBONE, optional=('backbone.stem.conv3',))


def translate_ppyoloe(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the names of a detector."""
    return place_keys(state, KEYS)


def translate_ppyoloe_backbone(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the names of a backbone that was trained on ImageNet; its classifier is left out."""
    backbone = {f'backbone.{key.removeprefix("backbone.")}': value for key, value in state.items() if '@@' not in key}
    return place_keys(
        {key: value for key, value in backbone.items() if key.startswith(('backbone.stem.', 'backbone.stages.'))},
        KEYS_BACKBONE,
    )
