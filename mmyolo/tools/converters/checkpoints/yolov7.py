"""Names in YOLOv7 files of its authors, where every layer is a number, those without weights included.

Their files for deployment lack the layers ImplicitA and ImplicitM, which had been folded into the convolution between
them; the converted file has zeros and ones, which do nothing. Auxiliary heads are not in those files and not here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from .rules import CONV, KeyMap, Place, Rename, place_keys

SPPCSPC = tuple(
    Rename(rf'^\.cv{index}\.', f'.{name}.')
    for index, name in (
        (1, 'main_layers.0'),
        (3, 'main_layers.1'),
        (4, 'main_layers.2'),
        (5, 'fuse_layers.0'),
        (6, 'fuse_layers.1'),
        (2, 'short_layer'),
        (7, 'final_conv'),
    )
)
DOWN_C = (
    Rename(r'^\.cv1\.', '.stride_conv_branches.0.'),
    Rename(r'^\.cv2\.', '.stride_conv_branches.1.'),
    Rename(r'^\.cv3\.', '.maxpool_branches.1.'),
)
REP = (Rename(r'^\.rbr_(dense|1x1)\.0\.', r'.rbr_\1.conv.'), Rename(r'^\.rbr_(dense|1x1)\.1\.', r'.rbr_\1.bn.'))
HEAD = 'bbox_head.head_module'
Rows = list[tuple[int, str, Sequence[Rename]]]


def _conv(index: int, target: str) -> Rows:
    return [(index, target, CONV)]


def _down_c(index: int, target: str) -> Rows:
    return [(index, target, DOWN_C)]


def _max_pool(index: int, target: str) -> Rows:
    names = ('maxpool_branches.1', 'stride_conv_branches.0', 'stride_conv_branches.1')
    return [(index + 1 + offset, f'{target}.{name}', CONV) for offset, name in enumerate(names)]


def _tiny(index: int, target: str) -> Rows:
    names = {0: 'short_conv', 1: 'main_convs.0', 2: 'main_convs.1', 3: 'main_convs.2', 5: 'final_conv'}
    return [(index + offset, f'{target}.{name}', CONV) for offset, name in names.items()]


def _elan(index: int, target: str, convs: int, per_block: int) -> Rows:
    blocks = [f'blocks.{i}' if per_block == 1 else f'blocks.{i // per_block}.{i % per_block}' for i in range(convs)]
    names = {0: 'short_conv', 1: 'main_conv', **{2 + i: name for i, name in enumerate(blocks)}, 3 + convs: 'final_conv'}
    return [(index + offset, f'{target}.{name}', CONV) for offset, name in names.items()]


def _elans(indices: int | tuple[int, int], target: str, convs: int, per_block: int) -> Rows:
    """One ELAN, or two beside each other."""
    if isinstance(indices, int):
        return _elan(indices, target, convs, per_block)
    names = [f'{target}.e_elan_blocks.{i}' for i in range(len(indices))]
    return [row for index, name in zip(indices, names) for row in _elan(index, name, convs, per_block)]


# Numbers of the layers. A down layer or block is named by the first number of its group; the deepest level comes last
# in the backbone and on the way up, and first on the way down. `convs` counts the 3x3 convolutions of a layer,
# `convs_per_block` those of one of its blocks in the neck.
MODELS: dict[str, dict] = {
    'yolov7-tiny.pt': {
        'stem': (0, 1),
        'downs': (),
        'blocks': (2, 9, 16, 23),
        'spp': {29: 'short_layer', 30: 'main_layers', 35: 'fuse_layers', 37: 'final_conv'},
        'upsample': (38, 48),
        'reduce': (40, 50),
        'top_down': (42, 52),
        'downsample': (58, 66),
        'bottom_up': (60, 68),
        'out': (74, 75, 76),
        'detect': 77,
        'block': 'tiny',
        'down': 'conv',
        'convs': None,
    },
    'yolov7.pt': {
        'stem': (0, 1, 2),
        'downs': (3, 12, 25, 38),
        'blocks': (4, 17, 30, 43),
        'spp': 51,
        'upsample': (52, 64),
        'reduce': (54, 66),
        'top_down': (56, 68),
        'downsample': (76, 89),
        'bottom_up': (81, 94),
        'out': (102, 103, 104),
        'detect': 105,
        'block': 'elan',
        'down': 'pool',
        'convs': 4,
        'rep': True,
    },
    'yolov7x.pt': {
        'stem': (0, 1, 2),
        'downs': (3, 14, 29, 44),
        'blocks': (4, 19, 34, 49),
        'spp': 59,
        'upsample': (60, 74),
        'reduce': (62, 76),
        'top_down': (64, 78),
        'downsample': (88, 103),
        'bottom_up': (93, 108),
        'out': (118, 119, 120),
        'detect': 121,
        'block': 'elan',
        'down': 'pool',
        'convs': 6,
        'convs_per_block': 2,
    },
    'yolov7-w6.pt': {
        'stem': 1,
        'downs': (2, 11, 20, 29, 38),
        'blocks': (3, 12, 21, 30, 39),
        'spp': 47,
        'upsample': (48, 60, 72),
        'reduce': (50, 62, 74),
        'top_down': (52, 64, 76),
        'downsample': (84, 94, 104),
        'bottom_up': (86, 96, 106),
        'out': (114, 115, 116, 117),
        'detect': 118,
        'block': 'elan',
        'down': 'conv',
        'convs': 4,
    },
    'yolov7-e6.pt': {
        'stem': 1,
        'downs': (2, 13, 24, 35, 46),
        'blocks': (3, 14, 25, 36, 47),
        'spp': 57,
        'upsample': (58, 72, 86),
        'reduce': (60, 74, 88),
        'top_down': (62, 76, 90),
        'downsample': (100, 112, 124),
        'bottom_up': (102, 114, 126),
        'out': (136, 137, 138, 139),
        'detect': 140,
        'block': 'elan',
        'down': 'down_c',
        'convs': 6,
    },
    'yolov7-e6e.pt': {
        'stem': 1,
        'downs': (2, 24, 46, 68, 90),
        'blocks': ((3, 13), (25, 35), (47, 57), (69, 79), (91, 101)),
        'spp': 112,
        'upsample': (113, 138, 163),
        'reduce': (115, 140, 165),
        'top_down': ((117, 127), (142, 152), (167, 177)),
        'downsample': (188, 211, 234),
        'bottom_up': ((190, 200), (213, 223), (236, 246)),
        'out': (257, 258, 259, 260),
        'detect': 261,
        'block': 'elan',
        'down': 'down_c',
        'convs': 6,
    },
}
_DOWN = {'conv': _conv, 'pool': _max_pool, 'down_c': _down_c}


def key_map(name: str) -> KeyMap:
    """Return the names of one model.

    Args:
        name: One of `MODELS`.
    """
    model = MODELS[name]
    levels = len(model['out'])
    is_p6 = levels == 4
    tiny, down = model['block'] == 'tiny', _DOWN[model['down']]
    in_neck = model['convs'], model.get('convs_per_block', 1)
    rows: Rows = []
    if isinstance(model['stem'], int):
        rows += _conv(model['stem'], 'backbone.stem.conv')
    else:
        rows += [row for i, index in enumerate(model['stem']) for row in _conv(index, f'backbone.stem.{i}')]
    for stage, index in enumerate(model['downs'], 1):
        # Only deeper stages pool beside a convolution.
        rows += (_conv if stage == 1 and model['down'] == 'pool' else down)(index, f'backbone.stage{stage}.0')
    for stage, index in enumerate(model['blocks'], 1):
        if tiny:
            rows += _tiny(index, f'backbone.stage{stage}.{0 if stage == 1 else 1}')
        else:
            rows += _elans(index, f'backbone.stage{stage}.1', model['convs'], 2)

    top = f'neck.reduce_layers.{levels - 1}'
    if tiny:
        rows += [(index, f'{top}.{part}', CONV) for index, part in model['spp'].items()]
    else:
        rows.append((model['spp'], top, SPPCSPC))
    for level in range(levels - 1):
        rows += _conv(model['upsample'][level], f'neck.upsample_layers.{level}.0')
        rows += _conv(model['reduce'][level], f'neck.reduce_layers.{levels - 2 - level}')
        rows += down(model['downsample'][level], f'neck.downsample_layers.{level}')
        for part in ('top_down', 'bottom_up'):
            target, index = f'neck.{part}_layers.{level}', model[part][level]
            rows += _tiny(index, target) if tiny else _elans(index, target, *in_neck)
    for level, index in enumerate(model['out']):
        target = f'{HEAD}.main_convs_pred.{level}.0' if is_p6 else f'neck.out_layers.{level}'
        rows.append((index, target, REP if model.get('rep') else CONV))

    preds, place = ('main_convs_pred', 2) if is_p6 else ('convs_pred', 1)
    detect = (
        Rename(r'^\.m\.(\d)\.', rf'.{preds}.\1.{place}.'),
        Rename(r'^\.ia\.(\d)\.', rf'.{preds}.\1.{place - 1}.'),
        Rename(r'^\.im\.(\d)\.', rf'.{preds}.\1.{place + 1}.'),
    )
    rows.append((model['detect'], HEAD, detect))
    places = [Place(f'model.{index}', target, layers) for index, target, layers in rows]
    return KeyMap(f'YOLOv7 ({name})', places, (rf'^model\.{model["detect"]}\.anchor',))


def translator(src: str | Path):
    """Give the function that translates weights of a file, by the name of the file.

    Raises:
        ValueError: If the name is not one of the published ones.
    """
    name = Path(src).name
    if name not in MODELS:
        raise ValueError(
            f'{src}: the model is recognised by the name of the file, which must be one of {", ".join(MODELS)}'
            + ('; weights of yolov7-d6 cannot be converted' if name == 'yolov7-d6.pt' else '')
        )
    keys = key_map(name)
    preds, place = ('main_convs_pred', 2) if len(MODELS[name]['out']) == 4 else ('convs_pred', 1)

    def translate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        result = place_keys(state, keys)
        for level in range(len(MODELS[name]['out'])):
            outputs, inputs = result[f'{HEAD}.{preds}.{level}.{place}.weight'].shape[:2]
            result.setdefault(f'{HEAD}.{preds}.{level}.{place - 1}.implicit', torch.zeros(1, inputs, 1, 1))
            result.setdefault(f'{HEAD}.{preds}.{level}.{place + 1}.implicit', torch.ones(1, outputs, 1, 1))
        return result

    return translate
