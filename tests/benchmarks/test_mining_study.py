"""What the study of mining computes: its generated images, areas under curves, intervals, and what a ranking holds."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.mining import curve_table
from benchmarks.mining.detector import IOU_THR, FrozenPredictor, build_detector, metas_of, prepare
from benchmarks.mining.learning_curve import QUICK, Protocol, check_folder
from benchmarks.mining.proxies import harmonic_means, proxies
from benchmarks.mining.scenes import CLASS_NAMES, POOL, Scenes, make_scenes
from tmi.families.dense_predictor import DensePredictor

SMALL = replace(POOL, singles=60, bursts=4)


@pytest.fixture(scope='module')
def scenes() -> Scenes:
    return make_scenes(SMALL, 3)


def test_same_seed_same_pixels(scenes):
    again, other = make_scenes(SMALL, 3), make_scenes(SMALL, 4)
    assert np.array_equal(scenes.images, again.images) and not np.array_equal(scenes.images, other.images)
    assert all(np.array_equal(*pair) for pair in zip(scenes.boxes, again.boxes))


def test_frames_of_a_scene_are_alike(scenes):
    """The mean difference between two frames is far below that between two scenes."""
    frames = [np.flatnonzero(scenes.scene == number) for number in range(SMALL.singles, SMALL.singles + SMALL.bursts)]
    assert [len(one) for one in frames] == [SMALL.frames] * SMALL.bursts
    small = scenes.images.astype(float).mean(-1).reshape(len(scenes), 12, 8, 12, 8).mean((2, 4))
    within = np.mean([np.abs(small[one[0]] - small[one[1]]).mean() for one in frames])
    between = np.mean([np.abs(small[one[0]] - small[two[0]]).mean() for one, two in zip(frames, frames[1:])])
    assert within < between / 3


def test_boxes_lie_in_the_image_and_classes_are_uneven(scenes):
    boxes = np.concatenate(scenes.boxes)
    assert boxes.min() >= 0 and boxes.max() <= SMALL.size and (boxes[:, 2:] > boxes[:, :2]).all()
    counts = scenes.class_counts.sum(0)
    assert counts[0] > 0.4 * counts.sum() and counts[0] > counts[1] > counts[4:].max()
    assert 0.1 < np.mean([len(labels) == 0 for labels in scenes.labels]) < 0.5


def test_night_is_dark(scenes):
    means = scenes.images.mean((1, 2, 3))
    assert scenes.night.any() and means[scenes.night].max() < np.median(means[~scenes.night])


def test_records_of_two_studies_are_not_mixed(tmp_path):
    check_folder(tmp_path, Protocol(), 3)
    check_folder(tmp_path, Protocol(), 3)
    for protocol, seed in ((Protocol(), 4), (QUICK, 3)):
        with pytest.raises(SystemExit, match='another --data-seed'):
            check_folder(tmp_path, protocol, seed)


def record(images, boxes, ap50):
    return {'images': images, 'boxes': boxes, 'ap50': ap50, 'ap': ap50 / 2, 'class_ap50': [ap50] * len(CLASS_NAMES)}


def test_area_is_the_trapezoid_divided_by_the_width():
    curve = [record(100, 10, 0.2), record(150, 40, 0.4), record(250, 50, 0.5)]
    assert curve_table.area(curve, 'ap50', 'images') == pytest.approx((50 * 0.3 + 100 * 0.45) / 150)
    assert curve_table.area(curve, 'ap50', 'boxes', 25) == pytest.approx(0.25)  # half way to 0.4, from 0.2
    assert curve_table.area(curve, 'rare', 'images') == pytest.approx(curve_table.area(curve, 'ap50', 'images'))


def test_interval_is_students():
    centre, half = curve_table.interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert centre == 3 and half == pytest.approx(2.776445 * 1.5811388 / 5**0.5)


def test_label_saving_is_where_the_curve_crosses_the_end_of_random():
    images = np.array([100.0, 200.0, 300.0])
    base = np.array([0.1, 0.2, 0.3])
    assert curve_table.label_saving(base, base, images) == 0
    assert curve_table.label_saving(np.array([0.1, 0.4, 0.5]), base, images) == pytest.approx(1 - (100 + 200 / 3) / 300)
    assert np.isnan(curve_table.label_saving(base - 0.05, base, images))


def test_curves_need_all_rounds(tmp_path):
    lines = [
        '{"arm": "", "seed": 0, "round": 0, "images": 1}',
        '{"arm": "random", "seed": 0, "round": 1, "images": 2}',
        '{"arm": "random", "seed": 0, "round": 2, "images": 3}',
        '{"arm": "hybrid", "seed": 0, "round": 1, "images": 2}',
    ]
    (tmp_path / 'rounds.jsonl').write_text('\n'.join(lines), encoding='utf-8')
    curves = curve_table.read_curves(tmp_path)
    assert list(curves) == ['random'] and [one['images'] for one in curves['random'][0]] == [1, 2, 3]


def test_proxies_of_the_best_and_of_the_worst_ranking(scenes):
    """Ranked by the true errors, the first images hold the most of them; the other way round none."""
    missed = np.array([len(labels) for labels in scenes.labels])
    errors = np.stack([missed, np.zeros_like(missed)], axis=1)
    f1 = harmonic_means(errors, scenes)
    assert set(f1) == {0.0, 1.0}
    best = np.argsort(-missed, kind='stable')
    first, last = (proxies(order, scenes, errors, f1, 10) for order in (best, best[::-1]))
    assert first['error recall'] == pytest.approx(np.sort(missed)[-10:].sum() / missed.sum())
    assert first['hard precision'] == 1 and last['error recall'] == 0 and last['boxes per image'] == 0
    rare = scenes.class_counts[:, -1] > 0
    by_rarity = proxies(np.argsort(~rare, kind='stable'), scenes, errors, f1, int(rare.sum()))
    assert by_rarity['rare lift'] == pytest.approx(1 / rare.mean())
    different = len(np.unique(scenes.scene))
    assert by_rarity['rare scene lift'] == pytest.approx(different / len(np.unique(scenes.scene[rare])))
    whole = proxies(best, scenes, errors, f1, len(scenes))
    for name in (
        'rare lift',
        'rare scene lift',
        'error recall',
        'scene error recall',
        'missed recall',
        'night',
        'boxes per image',
    ):
        assert whole[name] == pytest.approx(1)
    assert whole['scenes'] == pytest.approx((SMALL.singles + SMALL.bursts) / len(scenes))


def test_changed_images_are_looked_at_anew(scenes):
    """Features that were computed before belong to the images as they are: cald would compare an image with itself."""
    torch.manual_seed(0)
    model = build_detector().eval()
    prepared = prepare(scenes.subset(range(4)), model.state_dict())
    plain = DensePredictor(model, torch.device('cpu'), 0.0, IOU_THR)
    expected = plain.inspect(torch.from_numpy(prepared.scenes.images).flip(2), metas_of(prepared.scenes))
    on_flipped = []

    def measure(predictor, batch):
        on_flipped.extend(predictor.inspect_once(batch.pixels.flip(2), batch.metas, False)[0])
        return [0.0] * len(batch.metas)

    assert len(list(FrozenPredictor(model, prepared, 0.0).run('inspect', measure, False))) == 4
    for one, other in zip(expected, on_flipped, strict=True):
        np.testing.assert_allclose(other.embedding, one.embedding, atol=1e-4)


def test_a_model_that_is_looked_at_can_be_trained_on(scenes):
    """A predictor folds its model in place; the next round of a study starts from the model as it was."""
    model = build_detector().eval()
    prepared = prepare(scenes.subset(range(2)), model.state_dict())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert len(list(FrozenPredictor(model, prepared, 0.5).run('inspect'))) == 2
    after = model.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)
