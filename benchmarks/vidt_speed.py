"""Seconds of ViDT's forward pass and training step, beside a plain computation of the same (`vidt_plain.py`), on a CPU.

    python -m benchmarks.vidt_speed [--arch nano] [--size 640] [--tokens 100] [--rounds 5] [--threads 2]

Both have the same weights, take turns, and must give the same numbers. A forward pass is that of inference, of one
image without padding; a step is forward, losses (the same code for both) and backward of two images with 16 objects.
Each is given by the clock and by processor time, which other processes disturb less; the medians are compared.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks import vidt_plain
from vidt.checkpoint import to_public
from vidt.losses import ViDTCriterion
from vidt.models import ViDT

CLASSES, OBJECTS = 91, 8
TOLERANCE = 1e-3  # of a logit, of a pixel


def make_model(arch: str, tokens: int) -> ViDT:
    """Build a detector whose outputs depend on the image: at their start the box heads give nothing."""
    torch.manual_seed(0)
    model = ViDT(dict(type='mmdet.SwinWithRAM', arch=arch, num_det_tokens=tokens), CLASSES)
    for head in model.bbox_embed:
        torch.nn.init.normal_(head.layers[-1].weight, std=0.02)
    for layer in model.transformer.decoder.layers:
        torch.nn.init.normal_(layer.cross_attn.sampling_offsets.weight, std=0.02)
        torch.nn.init.normal_(layer.cross_attn.attention_weights.weight, std=0.02)
    return model


def plain_weights(model: ViDT) -> dict[str, Tensor]:
    """Return the same weights with public names, as leaves of their own."""
    return {
        name: value.clone().requires_grad_(value.is_floating_point())
        for name, value in to_public(model.state_dict()).items()
        if not name.startswith('transformer.decoder.bbox_embed.')  # second names
    }


def measure(rounds: int, runs: dict[str, Callable[[], object]]) -> dict[str, tuple[float, float]]:
    """Run each in turn; returns medians of seconds by the clock and of the processor."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            clock, processor = time.perf_counter(), time.process_time()
            run()
            if number:  # the first is to warm up
                times[name].append((time.perf_counter() - clock, time.process_time() - processor))
    return {name: tuple(median(column) for column in zip(*values)) for name, values in times.items()}


def compare(outputs: dict, expected: dict, size: int) -> None:
    """Stop if the numbers of the last level differ."""
    for name, scale in (('pred_logits', 1), ('pred_boxes', size)):
        difference = (outputs[name] - expected[name]).abs().max().item() * scale
        if not difference < TOLERANCE:
            raise SystemExit(f'{name} differ by {difference:g}: these times say nothing')


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', default='nano', help='size of the backbone')
    parser.add_argument('--size', type=int, default=640, help='side of the images')
    parser.add_argument('--tokens', type=int, default=100, help='detection tokens')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    model = make_model(args.arch, args.tokens)
    weights = plain_weights(model)
    criterion = ViDTCriterion(CLASSES)
    images = torch.randn(2, 3, args.size, args.size)
    mask = torch.zeros(2, args.size, args.size, dtype=torch.bool)
    targets = [
        dict(labels=torch.randint(CLASSES, (OBJECTS,)), boxes=torch.rand(OBJECTS, 4) * 0.4 + 0.2) for _ in images
    ]

    def forward() -> dict:
        with torch.inference_mode():
            return model.forward_levels(images[:1], None, 'last')

    def plain_forward() -> dict:
        with torch.inference_mode():
            return vidt_plain.forward(weights, images[:1], mask[:1])

    def train(outputs: dict) -> None:
        losses = criterion.weighted(criterion(outputs, targets))
        sum(value for name, value in losses.items() if 'loss' in name).backward()

    def step() -> None:
        train(model.forward_levels(images, None))
        model.zero_grad()

    def plain_step() -> None:
        train(vidt_plain.forward(weights, images, mask, training=True))
        for value in weights.values():
            value.grad = None

    compare(model.eval().forward_levels(images, None), vidt_plain.forward(weights, images, mask), args.size)
    compare(forward(), plain_forward(), args.size)
    table = Table('', 'plain: clock', 'processor', 'ours: clock', 'processor', 'times as fast: clock', 'processor')
    passes = {'forward, 1 image': (plain_forward, forward), 'training step, 2 images': (plain_step, step)}
    for name, (plain, ours) in passes.items():
        model.train(ours is step)
        times = measure(args.rounds, {'plain': plain, 'ours': ours})
        factors = [a / b for a, b in zip(times['plain'], times['ours'])]
        seconds = [f'{value:.3f} s' for value in (*times['plain'], *times['ours'])]
        table.add_row(name, *seconds, *(f'{factor:.2f}' for factor in factors))
    Console(width=120).print(table)


if __name__ == '__main__':
    main()
