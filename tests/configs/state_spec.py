"""Names and shapes of every entry of a state_dict of YOLOv5, YOLOv5u and YOLOv8, as published checkpoints have them.

Written from the layer tables of the architectures and independent of the code under test.
"""

import math
from collections.abc import Sequence

State = dict[str, tuple[int, ...]]

V5_STAGES = {
    'P5': [(64, 128, 3), (128, 256, 6), (256, 512, 9), (512, 1024, 3)],
    'P6': [(64, 128, 3), (128, 256, 6), (256, 512, 9), (512, 768, 3), (768, 1024, 3)],
}


def scaled(channels: int, widen: float) -> int:
    return math.ceil(channels * widen / 8) * 8


def repeated(blocks: int, deepen: float) -> int:
    return max(round(blocks * deepen), 1)


def plain(state: State, name: str, cin: int, cout: int) -> None:
    state[f'{name}.weight'] = (cout, cin, 1, 1)
    state[f'{name}.bias'] = (cout,)


def conv(state: State, name: str, cin: int, cout: int, kernel: int = 1) -> None:
    state[f'{name}.conv.weight'] = (cout, cin, kernel, kernel)
    for entry in ('weight', 'bias', 'running_mean', 'running_var'):
        state[f'{name}.bn.{entry}'] = (cout,)
    state[f'{name}.bn.num_batches_tracked'] = ()


def csp(state: State, name: str, cin: int, cout: int, blocks: int) -> None:
    half = cout // 2
    conv(state, f'{name}.main_conv', cin, half)
    conv(state, f'{name}.short_conv', cin, half)
    conv(state, f'{name}.final_conv', 2 * half, cout)
    for index in range(blocks):
        conv(state, f'{name}.blocks.{index}.conv1', half, half)
        conv(state, f'{name}.blocks.{index}.conv2', half, half, 3)


def csp_with_two_conv(state: State, name: str, cin: int, cout: int, blocks: int) -> None:
    half = cout // 2
    conv(state, f'{name}.main_conv', cin, 2 * half)
    conv(state, f'{name}.final_conv', (2 + blocks) * half, cout)
    for index in range(blocks):
        conv(state, f'{name}.blocks.{index}.conv1', half, half, 3)
        conv(state, f'{name}.blocks.{index}.conv2', half, half, 3)


def backbone(state: State, stages: Sequence[tuple], stem_kernel: int, layer, deepen: float, widen: float) -> None:
    conv(state, 'backbone.stem', 3, scaled(64, widen), stem_kernel)
    for index, (cin, cout, blocks) in enumerate(stages, 1):
        name, cin, cout = f'backbone.stage{index}', scaled(cin, widen), scaled(cout, widen)
        conv(state, f'{name}.0', cin, cout, 3)
        layer(state, f'{name}.1', cout, cout, repeated(blocks, deepen))
        if index == len(stages):
            conv(state, f'{name}.2.conv1', cout, cout // 2)
            conv(state, f'{name}.2.conv2', 2 * cout, cout)


def v5_neck(state: State, channels: list[int], blocks: int) -> None:
    last = len(channels) - 1
    conv(state, f'neck.reduce_layers.{last}', channels[last], channels[last - 1])
    for position, index in enumerate(range(last, 0, -1)):
        name = f'neck.top_down_layers.{position}'
        if index == 1:
            csp(state, name, 2 * channels[0], channels[0], blocks)
        else:
            csp(state, f'{name}.0', 2 * channels[index - 1], channels[index - 1], blocks)
            conv(state, f'{name}.1', channels[index - 1], channels[index - 2])
    for index in range(last):
        conv(state, f'neck.downsample_layers.{index}', channels[index], channels[index], 3)
        csp(state, f'neck.bottom_up_layers.{index}', 2 * channels[index], channels[index + 1], blocks)


def v8_neck(state: State, raw: list[int], widen: float, blocks: int) -> None:
    last, channels = len(raw) - 1, [scaled(value, widen) for value in raw]
    for position, index in enumerate(range(last, 0, -1)):
        csp_with_two_conv(
            state,
            f'neck.top_down_layers.{position}',
            scaled(raw[index - 1] + raw[index], widen),
            channels[index - 1],
            blocks,
        )
    for index in range(last):
        conv(state, f'neck.downsample_layers.{index}', channels[index], channels[index], 3)
        csp_with_two_conv(
            state,
            f'neck.bottom_up_layers.{index}',
            scaled(raw[index] + raw[index + 1], widen),
            channels[index + 1],
            blocks,
        )


def v8_head(state: State, channels: list[int], classes: int) -> None:
    reg, cls = max(16, channels[0] // 4, 64), max(channels[0], classes)
    for kind, middle, out in (('cls', cls, classes), ('reg', reg, 64)):
        for level, cin in enumerate(channels):
            name = f'bbox_head.head_module.{kind}_preds.{level}'
            conv(state, f'{name}.0', cin, middle, 3)
            conv(state, f'{name}.1', middle, middle, 3)
            plain(state, f'{name}.2', middle, out)


def v5(deepen: float, widen: float, classes: int = 80, arch: str = 'P5', anchor_free: bool = False) -> State:
    """YOLOv5, or YOLOv5u with `anchor_free`."""
    state: State = {}
    backbone(state, V5_STAGES[arch], 6, csp, deepen, widen)
    channels = [scaled(stage[1], widen) for stage in V5_STAGES[arch][1:]]
    v5_neck(state, channels, repeated(3, deepen))
    if anchor_free:
        v8_head(state, channels, classes)
    else:
        for level, cin in enumerate(channels):
            plain(state, f'bbox_head.head_module.convs_pred.{level}', cin, 3 * (5 + classes))
    return state


def v8(deepen: float, widen: float, last: int, classes: int = 80) -> State:
    state: State = {}
    stages = [(64, 128, 3), (128, 256, 6), (256, 512, 6), (512, last, 3)]
    backbone(state, stages, 3, csp_with_two_conv, deepen, widen)
    v8_neck(state, [256, 512, last], widen, repeated(3, deepen))
    v8_head(state, [scaled(value, widen) for value in (256, 512, last)], classes)
    return state
