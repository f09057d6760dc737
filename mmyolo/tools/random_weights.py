"""Random weights with which a detector behaves like a trained one, for tests and benchmarks without checkpoints."""

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn


def draw_weights(model: nn.Module, seed: int = 0) -> None:
    """Draw all weights of a detector so that activations neither vanish nor explode, whatever the family.

    Args:
        model: The detector; boxes of heads that regress distances get a positive size.
        seed: Of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    state = model.state_dict()
    for name, value in state.items():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith('running_var'):
            value.copy_(1 + 0.1 * noise.clamp(-2, 2))
        elif value.ndim >= 2 and value.numel() > len(value):
            value.copy_(noise * (len(value) / value.numel()) ** 0.5)
        elif name.endswith(('weight', 'alpha', 'implicit')):
            value.copy_(1 + 0.1 * noise)
        else:
            value.copy_(0.1 * noise)
        if name.endswith('bias') and ('reg_preds' in name or 'rtm_reg' in name):
            value.add_(2)
    model.load_state_dict(state)


def temper_predictions(model: nn.Module, images: Tensor) -> None:
    """Scale the last convolutions of a head so that class logits reach 4: no score is so near 1 that scores tie.

    Args:
        model: After `calibrate_batch_norms`.
        images: (n, 3, H, W) normalised inputs.
    """
    model.eval()
    with torch.no_grad():
        maps = model.bbox_head.forward_raw(model.extract_feat(images))[0]
    gain = 4 / torch.cat([level.flatten() for level in maps]).abs().max()
    layers = list(model.bbox_head.modules())
    normed = {id(layer.conv) for layer in layers if isinstance(layer, ConvModule)}
    for layer in layers:
        if isinstance(layer, nn.Conv2d) and id(layer) not in normed:
            layer.weight.data.mul_(gain)


def threshold_for(scores: Tensor, count: int) -> float:
    """Return the threshold that about `count` scores are above, in the widest gap near by.

    So rounding moves none over it.

    Args:
        scores: Any shape.
        count: At least 10.
    """
    ranked = scores.flatten().sort(descending=True)[0]
    near = ranked[int(count * 0.8) : int(count * 1.2) + 1]
    place = int((near[:-1] - near[1:]).argmax())
    return float(near[place] + near[place + 1]) / 2


def calibrate_batch_norms(model: nn.Module, images: Tensor) -> None:
    """Set the batch norms of a detector to the statistics of images, so that its features tell images apart.

    Args:
        model: A detector whose weights are random.
        images: (n, 3, H, W) normalised inputs.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    training = model.training
    model.train()
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.bbox_head(model.extract_feat(images))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    model.train(training)


def temper_boxes(model: nn.Module, images: Tensor, largest: float = 15) -> None:
    """Scale the last box convolutions of a YOLOv8 head so that logits of box sides are as small as a trained model's.

    With larger ones rounding in the network shows in boxes.

    Args:
        model: After `calibrate_batch_norms`.
        images: (n, 3, H, W) normalised inputs.
        largest: Logit of the sides of all boxes, by its absolute value.
    """
    model.eval()
    with torch.no_grad():
        levels = model.bbox_head.forward_raw(model.extract_feat(images))[1]
    gain = largest / max(level.abs().max() for level in levels)
    for branch in model.bbox_head.head_module.reg_preds:
        branch[-1].weight.data.mul_(gain)
        branch[-1].bias.data.mul_(gain)


def set_score_distribution(model: nn.Module, images: Tensor, above_02: float = 20, above_0001: float = 400) -> None:
    """Scale the last class convolutions of a YOLOv8 head so that scores are as rare as a trained model's.

    Args:
        model: After `calibrate_batch_norms`.
        images: (n, 3, H, W) normalised inputs.
        above_02: Scores above 0.2 per image, before NMS.
        above_0001: Scores above 0.001 per image, before NMS.
    """
    model.eval()
    convs = [branch[-1] for branch in model.bbox_head.head_module.cls_preds]
    for conv in convs:
        nn.init.zeros_(conv.bias)
    with torch.no_grad():
        levels = model.bbox_head(model.extract_feat(images))[0]
    logits = torch.cat([level.flatten() for level in levels]).sort(descending=True)[0]
    high, low = (logits[int(count * len(images))].item() for count in (above_02, above_0001))
    gain = (torch.logit(torch.tensor(0.2)) - torch.logit(torch.tensor(0.001))).item() / (high - low)
    for conv in convs:
        conv.weight.data.mul_(gain)
        conv.bias.data.fill_(torch.logit(torch.tensor(0.2)).item() - gain * high)
