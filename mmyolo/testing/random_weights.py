"""Random weights with which a detector behaves like a trained one, for tests and benchmarks without checkpoints."""
import torch
from torch import Tensor, nn


def settle_batch_norms(model: nn.Module, images: Tensor) -> None:
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


def set_score_distribution(model: nn.Module, images: Tensor, above_02: float = 20, above_0001: float = 400) -> None:
    """Scale the last class convolutions of a YOLOv8 head so that scores are as rare as a trained model's.

    Args:
        model: After `settle_batch_norms`.
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
