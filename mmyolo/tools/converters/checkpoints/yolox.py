"""Names in YOLOX files of Megvii."""

from collections.abc import Mapping

from torch import Tensor

from .rules import KeyMap, Place, Rename, place_keys

# Depthwise convolutions of the smallest model.
DEPTHWISE = (Rename(r'\.dconv\.', '.depthwise_conv.'), Rename(r'\.pconv\.', '.pointwise_conv.'))
CSP = (
    Rename(r'^\.conv1\.', '.main_conv.'),
    Rename(r'^\.conv2\.', '.short_conv.'),
    Rename(r'^\.conv3\.', '.final_conv.'),
    Rename(r'^\.m\.', '.blocks.'),
    *DEPTHWISE,
)
HEAD = 'bbox_head.head_module.multi_level_'

KEYS = KeyMap(
    'YOLOX',
    [
        Place('backbone.backbone.stem', 'backbone.stem', DEPTHWISE),
        *(
            Place(f'backbone.backbone.dark{stage + 1}.0', f'backbone.stage{stage}.0', DEPTHWISE)
            for stage in range(1, 5)
        ),
        *(Place(f'backbone.backbone.dark{stage + 1}.1', f'backbone.stage{stage}.1', CSP) for stage in range(1, 4)),
        Place('backbone.backbone.dark5.1', 'backbone.stage4.1'),
        Place('backbone.backbone.dark5.2', 'backbone.stage4.2', CSP),
        Place('backbone.lateral_conv0', 'neck.reduce_layers.2'),
        Place('backbone.C3_p4', 'neck.top_down_layers.0.0', CSP),
        Place('backbone.reduce_conv1', 'neck.top_down_layers.0.1'),
        Place('backbone.C3_p3', 'neck.top_down_layers.1', CSP),
        Place('backbone.bu_conv2', 'neck.downsample_layers.0', DEPTHWISE),
        Place('backbone.C3_n3', 'neck.bottom_up_layers.0', CSP),
        Place('backbone.bu_conv1', 'neck.downsample_layers.1', DEPTHWISE),
        Place('backbone.C3_n4', 'neck.bottom_up_layers.1', CSP),
        Place('head.stems', 'neck.out_layers'),
        Place('head.cls_convs', f'{HEAD}cls_convs', DEPTHWISE),
        Place('head.reg_convs', f'{HEAD}reg_convs', DEPTHWISE),
        Place('head.cls_preds', f'{HEAD}conv_cls'),
        Place('head.reg_preds', f'{HEAD}conv_reg'),
        Place('head.obj_preds', f'{HEAD}conv_obj'),
    ],
)


def translate_yolox(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the names of YOLOX."""
    return place_keys(state, KEYS)
