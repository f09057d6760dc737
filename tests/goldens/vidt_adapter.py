"""What holds our ViDT against published numbers: every function the comparison asks for, by our own parts."""

import torch
from mmengine.registry import DefaultScope

from vidt.checkpoint import from_public, to_public
from vidt.losses.criterion import ViDTCriterion
from vidt.losses.matcher import HungarianMatcher
from vidt.models import ViDT, ViDTWithoutNeck
from vidt.optim import parameter_groups
from vidt.postprocess import select_detections, to_pixels

ARCHS = {
    'swin_nano': 'nano',
    'swin_tiny': 'tiny',
    'swin_small': 'small',
    'swin_base_win7_22k': 'base',
    'swin_large_win7_22k': 'large',
}
TOKEN_CLASSES = 91  # of the patches, whatever classes the boxes have


def build(spec):
    neck = not is_without_neck(spec)
    backbone = dict(type='SwinWithRAM', arch=ARCHS[spec['backbone']], num_det_tokens=spec['det_token_num'])
    with DefaultScope.overwrite_default_scope('mmdet'):
        if not neck:
            return ViDTWithoutNeck(dict(backbone, last_merge=False), spec['num_classes'])
        return ViDT(
            backbone,
            spec['num_classes'],
            num_decoder_layers=spec['dec_layers'],
            box_refine=spec['with_box_refine'],
            aux_loss=spec['aux_loss'],
            epff=spec['epff'],
            iou_aware=spec['iou_aware'],
            token_label=spec['token_label'],
            mask_vectors=spec['with_vector'],
            token_classes=TOKEN_CLASSES,
        )


def state(model):
    return to_public(model.state_dict())


def load(model, weights):
    model.load_state_dict(from_public(weights))


def forward(model, images, mask):
    return model.forward_levels(images, mask)


def names(model):
    return dict(model.named_parameters())


def trace(model, images, mask):
    features = model.forward_levels(images, mask, features=True)['features']
    if 'levels' not in features:
        return {'tgt': features['tokens']}
    out = {'tgt': features['body_tokens']}
    out.update({f'memory{level}': maps for level, maps in enumerate(features['maps'])})
    out.update({f'hs{level}': tokens for level, tokens in enumerate(features['levels'])})
    return out


def is_without_neck(spec):
    return spec['method'] == 'vidt_wo_neck'


def criterion_of(spec):
    return ViDTCriterion(spec['num_classes'], background=is_without_neck(spec), first_token_class=0)


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
