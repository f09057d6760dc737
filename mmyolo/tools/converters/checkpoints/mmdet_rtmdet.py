"""Names of RTMDet in mmdet, whose neck and head are laid out otherwise than here."""

from collections.abc import Mapping

from torch import Tensor

from .rules import KeyMap, Place, place_keys

KEYS = KeyMap(
    'RTMDet of mmdet',
    [
        Place('backbone', 'backbone'),
        Place('neck.reduce_layers.0', 'neck.reduce_layers.2'),
        Place('neck.reduce_layers.1', 'neck.top_down_layers.0.1'),
        Place('neck.top_down_blocks.0', 'neck.top_down_layers.0.0'),
        Place('neck.top_down_blocks.1', 'neck.top_down_layers.1'),
        Place('neck.downsamples', 'neck.downsample_layers'),
        Place('neck.bottom_up_blocks', 'neck.bottom_up_layers'),
        Place('neck.out_convs', 'neck.out_layers'),
        Place('bbox_head', 'bbox_head.head_module'),
    ],
    dropped=(r'^data_preprocessor\.',),
)


def translate_rtmdet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the names of RTMDet."""
    return place_keys(state, KEYS)
