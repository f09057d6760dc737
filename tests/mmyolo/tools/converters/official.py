"""Names that weights have in the files of other projects, from our names: the converters' tables read backwards.

Written without them: numbered layers come from a walk through the layers in the order in which those projects list
them, layers without weights (pooling, joining, upsampling) counting too.
"""

import re


class Walk:
    """Numbers layers; a layer of ours may be several of theirs, or a part of one."""

    def __init__(self):
        self.index = 0
        self.rules = []

    def add(self, ours, *inner):
        """One layer; `inner` are pairs of expressions for the names within it."""
        self.rules.append((rf'^{re.escape(ours)}(?=\.)', f'model.{self.index}', inner))
        self.index += 1
        return self

    def skip(self, count=1):
        self.index += count
        return self

    def rename(self, key):
        for pattern, target, inner in self.rules:
            if re.match(pattern, key):
                rest = re.sub(pattern, '', key)
                for ours, theirs in inner:
                    rest = re.sub(ours, theirs, rest)
                return target + rest
        raise KeyError(key)


SPPF = ((r'\.conv(\d)\.conv', r'.cv\1.conv'), (r'\.conv(\d)\.bn', r'.cv\1.bn'))
BLOCKS = (r'\.blocks\.(\d+)\.conv(\d)', r'.m.\1.cv\2')
C3 = (BLOCKS, (r'^\.main_conv', '.cv1'), (r'^\.short_conv', '.cv2'), (r'^\.final_conv', '.cv3'))
C2F = (BLOCKS, (r'^\.main_conv', '.cv1'), (r'^\.final_conv', '.cv2'))
HEAD = 'bbox_head.head_module'
ANCHOR_HEAD = ((r'^\.convs_pred', '.m'), (r'^\.proto_pred\.conv', '.proto.cv'))
FREE_HEAD = ((r'^\.reg_preds', '.cv2'), (r'^\.cls_preds', '.cv3'))


def ultralytics(csp, stages, with_reduction, head):
    """YOLOv5 with convolutions of 1x1 before its joints, YOLOv8 without."""
    walk = Walk().add('backbone.stem')
    for stage in range(1, stages + 1):
        walk.add(f'backbone.stage{stage}.0').add(f'backbone.stage{stage}.1', *csp)
    walk.add(f'backbone.stage{stages}.2', *SPPF)
    joints = stages - 2
    for level in range(joints):
        if with_reduction:
            walk.add(f'neck.reduce_layers.{joints}' if level == 0 else f'neck.top_down_layers.{level - 1}.1')
        last = level == joints - 1
        walk.skip(2).add(f'neck.top_down_layers.{level}' + ('.0' if with_reduction and not last else ''), *csp)
    for level in range(joints):
        walk.add(f'neck.downsample_layers.{level}').skip().add(f'neck.bottom_up_layers.{level}', *csp)
    return walk.add(HEAD, *head).rename


def _elan(walk, ours, convs, pairs):
    walk.add(f'{ours}.short_conv').add(f'{ours}.main_conv')
    for index in range(convs):
        walk.add(f'{ours}.blocks.{index // 2}.{index % 2}' if pairs else f'{ours}.blocks.{index}')
    walk.skip().add(f'{ours}.final_conv')


def _elans(walk, ours, convs, pairs, two):
    if not two:
        return _elan(walk, ours, convs, pairs)
    for index in range(2):
        _elan(walk, f'{ours}.e_elan_blocks.{index}', convs, pairs)
    walk.skip()


def _tiny(walk, ours):
    for name in ('short_conv', 'main_convs.0', 'main_convs.1', 'main_convs.2'):
        walk.add(f'{ours}.{name}')
    walk.skip().add(f'{ours}.final_conv')


SPPCSPC = (
    (r'^\.main_layers\.0', '.cv1'),
    (r'^\.short_layer', '.cv2'),
    (r'^\.main_layers\.1', '.cv3'),
    (r'^\.main_layers\.2', '.cv4'),
    (r'^\.fuse_layers\.0', '.cv5'),
    (r'^\.fuse_layers\.1', '.cv6'),
    (r'^\.final_conv', '.cv7'),
)
DOWN_C = (
    (r'^\.stride_conv_branches\.0', '.cv1'),
    (r'^\.stride_conv_branches\.1', '.cv2'),
    (r'^\.maxpool_branches\.1', '.cv3'),
)


def _down(walk, ours, kind):
    if kind == 'pool':
        walk.skip().add(f'{ours}.maxpool_branches.1')
        return walk.add(f'{ours}.stride_conv_branches.0').add(f'{ours}.stride_conv_branches.1')
    return walk.add(ours, *(DOWN_C if kind == 'down_c' else ()))


def yolov7(kind):
    """tiny, l, x, w, e or e2e."""
    walk = Walk()
    tiny, p6 = kind == 'tiny', kind in ('w', 'e', 'e2e')
    convs, two = 4 if kind in ('l', 'w') else 6, kind == 'e2e'
    down = {'tiny': 'conv', 'l': 'pool', 'x': 'pool', 'w': 'conv'}.get(kind, 'down_c')
    if p6:
        walk.skip().add('backbone.stem.conv')
    else:
        for index in range(2 if tiny else 3):
            walk.add(f'backbone.stem.{index}')
    for stage in range(1, 6 if p6 else 5):
        ours = f'backbone.stage{stage}'
        if tiny:
            walk.skip(stage > 1)
            _tiny(walk, f'{ours}.{int(stage > 1)}')
            continue
        if down == 'pool' and stage == 1:
            walk.add(f'{ours}.0')
        else:
            _down(walk, f'{ours}.0', down)
            walk.skip(down == 'pool')  # joins both branches
        _elans(walk, f'{ours}.1', convs, True, two)
    joints = 3 if p6 else 2
    top = f'neck.reduce_layers.{joints}'
    if tiny:
        walk.add(f'{top}.short_layer').add(f'{top}.main_layers').skip(4).add(f'{top}.fuse_layers').skip()
        walk.add(f'{top}.final_conv')
    else:
        walk.add(top, *SPPCSPC)
    for level in range(joints):
        walk.add(f'neck.upsample_layers.{level}.0').skip().add(f'neck.reduce_layers.{joints - 1 - level}').skip()
        ours = f'neck.top_down_layers.{level}'
        _tiny(walk, ours) if tiny else _elans(walk, ours, convs, kind == 'x', two)
    for level in range(joints):
        _down(walk, f'neck.downsample_layers.{level}', down).skip()
        ours = f'neck.bottom_up_layers.{level}'
        _tiny(walk, ours) if tiny else _elans(walk, ours, convs, kind == 'x', two)
    rep = ((r'^\.rbr_(\w+)\.conv', r'.rbr_\1.0'), (r'^\.rbr_(\w+)\.bn', r'.rbr_\1.1')) if kind == 'l' else ()
    for level in range(joints + 1):
        walk.add(f'{HEAD}.main_convs_pred.{level}.0' if p6 else f'neck.out_layers.{level}', *rep)
    preds = ((r'^\.main_convs_pred\.(\d)\.2', r'.m.\1'),) if p6 else ((r'^\.convs_pred\.(\d)\.1', r'.m.\1'),)
    return walk.add(HEAD, *preds).rename


def by_rules(*rules):
    """A function that renames by all of the pairs of expressions, one after the other."""

    def rename(key):
        for ours, theirs in rules:
            key = re.sub(ours, theirs, key)
        return key

    return rename


def _yolov6_stage(match):
    stage, rest = int(match[1]), match[2]
    block = '2' if rest.startswith('1.') else rest.split('.')[1]
    inner = rest.split('.', 1)[1] if rest.startswith('1.') else rest.split('.', 2)[2]
    if block == '2':
        inner = re.sub(r'^conv', 'cv', inner)
    return f'backbone.ERBlock_{stage + 1}.{block}.{inner}'


_NECK6 = (
    (r'^neck\.reduce_layers\.2\.', 'neck.reduce_layer0.'),
    (r'^neck\.top_down_layers\.0\.1\.', 'neck.reduce_layer1.'),
    (r'^neck\.top_down_layers\.0\.0\.', 'neck.Rep_p4.'),
    (r'^neck\.top_down_layers\.1\.', 'neck.Rep_p3.'),
    (r'^neck\.downsample_layers\.0\.', 'neck.downsample2.'),
    (r'^neck\.downsample_layers\.1\.', 'neck.downsample1.'),
    (r'^neck\.bottom_up_layers\.0\.', 'neck.Rep_n3.'),
    (r'^neck\.bottom_up_layers\.1\.', 'neck.Rep_n4.'),
    (r'^bbox_head\.head_module\.', 'detect.'),
)
# Layers of three convolutions and blocks: their blocks are `m`, their convolutions `cv`.
_BEP3 = (
    (r'^((?:backbone\.ERBlock_\d\.1|neck\.Rep_\w\d))\.conv(\d)\.(?=conv|bn)', r'\1.cv\2.'),
    (r'^((?:backbone\.ERBlock_\d\.1|neck\.Rep_\w\d))\.block\.(?=conv|block)', r'\1.m.'),
)
YOLOV6 = by_rules(
    (r'^backbone\.stage(\d)\.(.*)$', _yolov6_stage),
    *_NECK6,
    (r'^neck\.upsample_layers\.(\d)\.', r'neck.upsample\1.upsample_transpose.'),
)
_V3 = (
    (r'^backbone\.stage(\d)\.(.*)$', _yolov6_stage),
    *_NECK6,
    (r'^neck\.upsample_layers\.(\d)\.upsample\.', r'neck.Bifusion\1.upsample.upsample_transpose.'),
    (r'^neck\.upsample_layers\.(\d)\.conv', r'neck.Bifusion\1.cv'),
    (r'^neck\.upsample_layers\.(\d)\.', r'neck.Bifusion\1.'),
)
YOLOV6_V3 = by_rules(*_V3, (r'^detect\.reg_preds\.', 'detect.reg_preds_lrtb.'))
YOLOV6_BEP3 = by_rules(
    (r'^backbone\.stage(\d)\.(.*)$', _yolov6_stage),
    *_NECK6,
    *_BEP3,
    (r'^neck\.upsample_layers\.(\d)\.', r'neck.upsample\1.upsample_transpose.'),
)
YOLOV6_V3_BEP3 = by_rules(*_V3, *_BEP3)

YOLOX = by_rules(
    (r'^backbone\.stem', 'backbone.backbone.stem'),
    (r'^backbone\.stage(\d)', lambda match: f'backbone.backbone.dark{int(match[1]) + 1}'),
    (r'^neck\.reduce_layers\.2\.', 'backbone.lateral_conv0.'),
    (r'^neck\.top_down_layers\.0\.0\.', 'backbone.C3_p4.'),
    (r'^neck\.top_down_layers\.0\.1\.', 'backbone.reduce_conv1.'),
    (r'^neck\.top_down_layers\.1\.', 'backbone.C3_p3.'),
    (r'^neck\.downsample_layers\.0\.', 'backbone.bu_conv2.'),
    (r'^neck\.downsample_layers\.1\.', 'backbone.bu_conv1.'),
    (r'^neck\.bottom_up_layers\.0\.', 'backbone.C3_n3.'),
    (r'^neck\.bottom_up_layers\.1\.', 'backbone.C3_n4.'),
    (r'^neck\.out_layers\.', 'head.stems.'),
    (r'^bbox_head\.head_module\.multi_level_(cls|reg)_convs', r'head.\1_convs'),
    (r'^bbox_head\.head_module\.multi_level_conv_(cls|reg|obj)', r'head.\1_preds'),
    (r'\.main_conv\.', '.conv1.'),
    (r'\.short_conv\.', '.conv2.'),
    (r'\.final_conv\.', '.conv3.'),
    (r'\.blocks\.', '.m.'),
    (r'\.depthwise_conv\.', '.dconv.'),
    (r'\.pointwise_conv\.', '.pconv.'),
)


def _mirrored(name):
    return lambda match: f'yolo_head.{name}.{2 - int(match[1])}.'


PPYOLOE = by_rules(
    (r'\.running_mean$', '._mean'),
    (r'\.running_var$', '._variance'),
    (r'^backbone\.stem\.(\d)', lambda match: f'backbone.stem.conv{int(match[1]) + 1}'),
    (r'^backbone\.stage(\d)\.0\.', lambda match: f'backbone.stages.{int(match[1]) - 1}.'),
    (r'^neck\.reduce_layers\.2\.', 'neck.fpn_stages.0.'),
    (r'^neck\.top_down_layers\.(\d)\.', lambda match: f'neck.fpn_stages.{int(match[1]) + 1}.'),
    (r'^neck\.bottom_up_layers\.(\d)\.', lambda match: f'neck.pan_stages.{1 - int(match[1])}.'),
    (r'^neck\.upsample_layers\.(\d)\.0\.', r'neck.fpn_routes.\1.'),
    (r'^neck\.downsample_layers\.(\d)\.', lambda match: f'neck.pan_routes.{1 - int(match[1])}.'),
    (r'^(neck\..*)\.blocks\.', r'\1.convs.'),
    (r'\.spp\.conv2\.', '.spp.conv.'),
    (r'\.rbr_dense\.', '.conv1.'),
    (r'\.rbr_1x1\.', '.conv2.'),
    (r'\.attn\.fc\.conv\.', '.attn.fc.'),
    *(
        (rf'^bbox_head\.head_module\.{ours}\.(\d)\.', _mirrored(theirs))
        for ours, theirs in {
            'cls_stems': 'stem_cls',
            'reg_stems': 'stem_reg',
            'cls_preds': 'pred_cls',
            'reg_preds': 'pred_reg',
        }.items()
    ),
)
