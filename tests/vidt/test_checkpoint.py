"""Public files of detectors and backbones, and ours."""

from argparse import Namespace

import pytest
import torch

from mmyolo.utils.checkpoint import read_as_data
from tests.vidt.public import seeded_weights
from tests.vidt.test_network import TINY, detector
from vidt.checkpoint import describe, fit, from_public, to_public
from vidt.models import SwinWithRAM, ViDT, ViDTWithoutNeck


def build(config):
    """The detector that a description tells."""
    kind = {'ViDT': ViDT, 'ViDTWithoutNeck': ViDTWithoutNeck}[config['type']]
    options = {key: value for key, value in config.items() if key != 'type'}
    return kind(**{**options, 'backbone': {**options['backbone'], 'type': 'mmdet.SwinWithRAM'}})


def without_neck():
    return ViDTWithoutNeck(dict(type='mmdet.SwinWithRAM', arch=TINY, num_det_tokens=7, last_merge=False), 4)


MODELS = {
    'refined': detector,
    'plus': lambda: detector(epff=True, iou_aware=True, token_label=True, mask_vectors=True, vector_channels=64),
    'not refined': lambda: detector(box_refine=False, iou_aware=True),
    'other numbers': lambda: detector(tokens=9, num_classes=2, num_decoder_layers=4),
    'without neck': without_neck,
}


@pytest.mark.parametrize('name', MODELS)
def test_a_public_file_is_read_as_it_was_written(name, tmp_path):
    """Names, shapes and values survive a file that holds more than weights, and tell the model that they belong to."""
    model = MODELS[name]()
    shapes = {key: list(value.shape) for key, value in to_public(model.state_dict()).items()}
    public = seeded_weights(shapes, name != 'not refined')
    content = {'model': public, 'optimizer': {'state': {}}, 'epoch': 49, 'args': Namespace(lr=1e-4, method='vidt')}
    torch.save(content, tmp_path / 'vidt.pth')
    read = read_as_data(tmp_path / 'vidt.pth')['model']

    state = from_public(read)
    assert from_public(state).keys() == state.keys()  # ours stay as they are
    again = build(describe(read))
    again.load_state_dict(state)
    assert describe(state) == describe(read)
    written = to_public(again.state_dict())
    assert written.keys() == public.keys()
    assert all(torch.equal(value, public[key]) for key, value in written.items())


def test_what_is_no_detector_is_said():
    with pytest.raises(ValueError, match='backbone.det_token is missing'):
        describe({'conv.weight': torch.zeros(3)})
    state = detector().state_dict()
    del state['backbone.layers.2.blocks.0.attn.relative_position_bias_table']
    with pytest.raises(ValueError, match=r'layers\.2\.blocks\.0\.attn\.relative_position_bias_table is missing'):
        describe(state)


def test_another_number_of_tokens():
    few, many = detector(tokens=5), detector(seed=1, tokens=8)
    fitted = fit(few.state_dict(), many.state_dict())
    for name in ('backbone.det_token', 'backbone.det_pos_embed'):
        assert torch.equal(fitted.state[name][:, :5], few.state_dict()[name])
        assert torch.equal(fitted.state[name][:, 5:], many.state_dict()[name][:, 5:])
    assert fitted.notes == [
        'backbone.det_token: the first 5 of 8 tokens are taken over from 5',
        'backbone.det_pos_embed: the first 5 of 8 tokens are taken over from 5',
    ]
    many.load_state_dict(fitted.state)
    fitted = fit(many.state_dict(), few.state_dict())
    assert torch.equal(fitted.state['backbone.det_token'], few.state_dict()['backbone.det_token'])
    assert fit(few.state_dict(), few.state_dict()).notes == []


def test_maps_in_the_opposite_order():
    """The decoder of a detector without fusion of maps attends to the same maps in one with it."""
    plain, fused = detector(), detector(seed=1, epff=True)
    fitted = fit(plain.state_dict(), fused.state_dict())
    assert len(fitted.notes) == 1 and 'opposite order' in fitted.notes[0]
    query = torch.randn(1, 12, 256)
    for name in ('sampling_offsets', 'attention_weights'):
        module = getattr(plain.transformer.decoder.layers[0].cross_attn, name)
        before = module(query).unflatten(2, (8, 4, -1))
        module.weight.data = fitted.state[f'transformer.decoder.layers.0.cross_attn.{name}.weight']
        module.bias.data = fitted.state[f'transformer.decoder.layers.0.cross_attn.{name}.bias']
        torch.testing.assert_close(module(query).unflatten(2, (8, 4, -1)), before.flip(3))


def test_decoder_layers_of_a_file_with_another_number():
    """What stands under a name that both have fits; the outputs of a level are that level's own."""
    four, two = detector(num_decoder_layers=4), detector(seed=1, num_decoder_layers=2)
    state = {name: value for name, value in four.state_dict().items() if name in two.state_dict()}
    two.load_state_dict(state)
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        level = four.forward_levels(images)['aux'][2]
        outputs = two.forward_levels(images)
    for name in ('pred_logits', 'pred_boxes'):
        torch.testing.assert_close(outputs[name], level[name], rtol=1e-4, atol=1e-5)


def test_a_shared_head_becomes_the_head_of_each_level():
    shared, own = detector(box_refine=False), detector(seed=1)
    state, notes = fit(from_public(to_public(shared.state_dict())), own.state_dict())
    own.load_state_dict(state)
    for head in own.class_embed:
        assert torch.equal(head.weight, shared.class_embed[0].weight)
    for head in own.bbox_embed:
        assert torch.equal(head.layers[2].weight, shared.bbox_embed[0].layers[2].weight)
    assert len(notes) == 1 and 'share' in notes[0]


def swin_of_imagenet(model):
    """A classifier's file, which has no detection tokens, and parts of its own."""
    state = {
        name: torch.randn_like(value) if value.is_floating_point() else value
        for name, value in model.state_dict().items()
        if not any(part in name for part in ('det_', 'expansion', 'norm2.', 'layers.3.downsample', 'norm1.w', 'norm3'))
        or '.blocks.' in name
        and 'det_' not in name
    }
    for stage in range(4):
        state[f'layers.{stage}.blocks.1.attn_mask'] = torch.zeros(64, 49, 49)
    return state | {'norm.weight': torch.ones(128), 'head.weight': torch.zeros(1000, 128)}


def test_backbone_of_imagenet(tmp_path):
    torch.manual_seed(0)
    source = SwinWithRAM(TINY, 5)
    state = swin_of_imagenet(source)
    ours = from_public(state)
    assert not [name for name in ours if 'attn_mask' in name or 'head' in name or name == 'backbone.norm.weight']
    model = detector()
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    assert model.load_state_dict(ours, strict=False).unexpected_keys == []
    for name, value in model.state_dict().items():
        assert torch.equal(value, ours.get(name, fresh[name])), name
    kept = {name for name in fresh if name.startswith('backbone.') and name not in ours}
    assert all(
        any(part in name for part in ('det_', 'expansion', 'downsample.norm2', 'layers.3.downsample', 'backbone.norm'))
        for name in kept
    )

    torch.save({'model': state, 'config': {}}, tmp_path / 'swin.pth')
    started = SwinWithRAM(TINY, 5, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'swin.pth')))
    started.init_weights()
    weight = started.state_dict()['layers.2.blocks.1.attn.qkv.weight']
    assert torch.equal(weight, state['layers.2.blocks.1.attn.qkv.weight'])
    other = SwinWithRAM('nano', 5, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'swin.pth')))
    with pytest.raises(ValueError, match='swin.pth'):
        other.init_weights()
