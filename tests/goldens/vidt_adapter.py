"""What holds our ViDT against published numbers: every function the comparison asks for, by our own parts."""

import torch

from vidt.losses.criterion import ViDTCriterion
from vidt.losses.matcher import HungarianMatcher
from vidt.optim import parameter_groups
from vidt.postprocess import select_detections, to_pixels


def is_without_neck(spec):
    return spec['method'] == 'vidt_wo_neck'


def criterion_of(spec):
    return ViDTCriterion(spec['num_classes'], background=is_without_neck(spec))


def match(spec, outputs, targets):
    matcher = HungarianMatcher(background=is_without_neck(spec))
    return matcher(outputs['pred_logits'][None], outputs['pred_boxes'][None], targets)[0]


def losses(spec, model, outputs, targets):
    return criterion_of(spec)(outputs, targets)


def weights(spec):
    options = {
        'iou_aware': ['loss_iouaware'],
        'token_label': ['loss_token_focal', 'loss_token_dice'],
        'with_vector': ['loss_vector'],
    }
    names = ['loss_ce', 'loss_bbox', 'loss_giou', *(name for key in options if spec[key] for name in options[key])]
    ends = ['', *(f'_{level}' for level in range(spec['dec_layers'] if spec['aux_loss'] else 0))]
    return criterion_of(spec).weights(name + end for end in ends for name in names)


def postprocess(spec, outputs, sizes):
    found = select_detections(outputs, background=is_without_neck(spec))
    boxes = to_pixels(found.boxes, sizes)
    return [dict(scores=s, labels=l, boxes=b) for s, l, b in zip(found.scores, found.labels, boxes)]


def optimizer(spec, model, lr, weight_decay):
    return torch.optim.AdamW(parameter_groups(model.named_parameters()), lr=lr, weight_decay=weight_decay)
