"""Finding layers and preparing feature maps."""

import pytest
import torch
from torch import nn

from mmyolo.tools.demo.featmap import cut_padding, find_layer, record_outputs, reduce_channels


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU()))
        self.maps = nn.ModuleList([nn.Identity()])
        self.size = 3

    def forward(self, x):
        return self.body(x), [x]


def test_layers_are_found():
    net = Net()
    assert find_layer(net, 'body') is net.body
    assert find_layer(net, 'model.body[1][0]') is net.body[1][0]
    assert find_layer(net, 'body.1.0') is net.body[1][0]
    assert find_layer(net, 'body[-2]') is net.body[0]
    with pytest.raises(ValueError, match=r"'\[5\]' is not to be found after 'body', which has the layers 0, 1"):
        find_layer(net, 'body[5]')
    with pytest.raises(ValueError, match='is not a layer but a int'):
        find_layer(net, 'size')


def test_outputs_are_recorded():
    net, x = Net(), torch.ones(1, 3, 2, 2)
    with record_outputs({'net': net, 'body[0]': net.body[0]}) as outputs:
        net(x)
    assert list(outputs) == ['body[0]', 'net[0]', 'net[1][0]']
    assert torch.equal(outputs['net[1][0]'], x)
    net(x + 1)
    assert torch.equal(outputs['net[1][0]'], x)


def test_padding_is_cut():
    featmap = torch.arange(64.0).reshape(1, 8, 8)
    assert cut_padding(featmap, {'img_shape': (80, 80)}) is featmap
    meta = {'img_shape': (80, 80), 'pad_param': (20, 20, 0, 0)}  # two rows above and two below
    whole = nn.functional.interpolate(featmap[:, 2:6][None], (8, 8), mode='bilinear', align_corners=False)[0]
    cut = cut_padding(featmap, meta)
    torch.testing.assert_close(cut[:, 1:-1], whole[:, 1:-1])  # beside the cut, neighbours in the padding count
    batch = {'img_shape': (40, 80), 'batch_input_shape': (80, 80)}
    torch.testing.assert_close(cut_padding(featmap, batch)[0, :, 0], torch.linspace(-2.0, 26, 8).clamp(min=0))


def test_channels_are_chosen():
    featmap = torch.tensor([1.0, 5, 3, 4]).reshape(4, 1, 1).expand(4, 2, 2)
    assert [one[0, 0].item() for one in reduce_channels(featmap, 'select_max', 9)] == [5]
    assert [one[0, 0].item() for one in reduce_channels(featmap, 'squeeze_mean', 9)] == [3.25]
    assert [one[0, 0].item() for one in reduce_channels(featmap, None, 3)] == [5, 4, 3]
    assert len(reduce_channels(featmap, None, 9)) == 4
    assert len(reduce_channels(featmap[:3], None, 0)) == 3
    with pytest.raises(ValueError, match='needs 1 or 3 channels, it has 4'):
        reduce_channels(featmap, None, 0)
