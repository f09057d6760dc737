"""Checkpoints are read as data, with what mmengine writes into them."""
import datetime
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmyolo.utils.checkpoint import read_as_data


def test_smoothed_losses_are_data(tmp_path):
    content = dict(weight=torch.ones(2), loss=HistoryBuffer([1., 3.], [1, 1]), scale=np.float64(.5))
    torch.save(content, tmp_path / 'x.pth')
    content = read_as_data(tmp_path / 'x.pth')
    assert content['loss'].mean() == 2 and content['scale'] == .5 and content['weight'].tolist() == [1, 1]


def test_other_objects_are_refused(tmp_path):
    torch.save(dict(when=datetime.date(2024, 2, 29)), tmp_path / 'x.pth')
    with pytest.raises(pickle.UnpicklingError):
        read_as_data(tmp_path / 'x.pth')
