"""From predictions to what the order is made of."""

import numpy as np
import pytest

from tmi.inference.shards import Prediction
from tmi.mining import ALGORITHMS
from tmi.mining.rank import collect
from tmi.settings import MiningSettings


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('weights', [[1, 1], [1e6, 1e6], [1e-9, 1e-9], [1e6, 1e-6], [0, 0]])
def test_class_weights_of_any_size_leave_the_shares_of_classes(weights):
    settings = MiningSettings(class_names=['cat', 'dog'], class_distribution_scores=weights)
    boxes = [[0, 0, 9, 9]] * 2
    image = Prediction(0, 'a.jpg', (9, 9), boxes, [0.5, 0.5], [0, 1], support=[1, 1], spread=[0.0, 0.0])
    pool = collect([image], 1, ALGORITHMS['hybrid'](settings))
    expected = np.array(weights) / max(sum(weights), 1e-30)
    assert pool.class_terms[0].tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    assert pool.uncertainty[0] == pytest.approx(sum(weights))
