"""The building of a model ends as soon as it is far larger than its weights."""

import pytest
import torch
from torch import nn

from mmyolo.utils.literal_config import ConfigContentError
from mmyolo.utils.model_size import limited_size


def test_a_model_of_the_size_of_its_weights():
    with limited_size(nn.Linear(9, 9).state_dict().values()):
        assert nn.Linear(9, 9)(torch.ones(1, 9)).shape == (1, 9)


@pytest.mark.parametrize(
    'build, words',
    [
        (lambda: nn.Linear(10**4, 10**4), r'far larger than its weights, which hold 90 numbers'),
        (lambda: nn.BatchNorm2d(2 * 10**7), 'far larger'),
        (lambda: [nn.Linear(1000, 1000) for _ in range(10**6)], 'far larger'),
        (
            lambda: [nn.Sequential(nn.Identity()) for _ in range(10**7)],
            'far more layers than its weights, which are 2 tensors',
        ),
    ],
)
def test_larger_models(build, words):
    with pytest.raises(ConfigContentError, match=words), limited_size(nn.Linear(9, 9).state_dict().values()):
        build()
    assert nn.Linear(5000, 5000).weight.numel() == 25_000_000  # nothing is counted any more
