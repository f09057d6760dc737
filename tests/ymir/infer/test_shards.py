"""Shard files: what is written comes back in order, and a process that stopped early is noticed."""

import pytest

from tmi.inference.shards import LineCounter, Prediction, ShardWriter, merge_shards, shard_path


def make(index: int) -> Prediction:
    boxes = [[0.5, 1.25, 7.125, 8.0]] * index
    path, n = f'/a/{index}\udcff.jpg', index
    values = [0.5] * n, [1] * n, '', True, [2] * n, [0.25] * n, 0.125, ['01\\d'] * n, [3] * n
    return Prediction(n, path, [20, 10], boxes, *values)


def write(folder, world_size, count):
    for rank in range(world_size):
        shard = ShardWriter(folder, rank)
        for index in range(rank, count, world_size):
            shard.write([make(index)])
        shard.close()


@pytest.mark.parametrize('world_size', [1, 2, 3, 8])
def test_merged_in_order(tmp_path, world_size):
    write(tmp_path, world_size, 7)
    assert list(merge_shards(tmp_path, world_size, 7)) == [make(index) for index in range(7)]


def test_missing_last_image_is_noticed(tmp_path):
    write(tmp_path, 2, 6)
    with pytest.raises(ValueError, match='rank_0.jsonl lacks the prediction of image 6'):
        list(merge_shards(tmp_path, 2, 7))


def test_line_cut_short_is_noticed(tmp_path):
    write(tmp_path, 2, 4)
    path = shard_path(tmp_path, 1)
    path.write_text(path.read_text()[:-5])
    with pytest.raises(ValueError, match='rank_1.jsonl lacks the prediction of image 3'):
        list(merge_shards(tmp_path, 2, 4))


def test_counts_whole_lines_of_a_growing_file(tmp_path):
    path = tmp_path / 'shard'
    counter = LineCounter(path)
    assert counter.count() == 0
    for content, lines in (('a\nb', 1), ('\n', 2), ('', 2), ('c\nd\n', 4)):
        with open(path, 'a') as file:
            file.write(content)
        assert counter.count() == lines


def test_above_keeps_boxes_of_higher_score_only():
    prediction = Prediction(0, 'a', [9, 9], [[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]], [0.9, 0.5, 0.2], [0, 1, 2])
    kept = prediction.above(0.5)
    assert (kept.boxes, kept.scores, kept.labels) == ([[0, 0, 1, 1]], [0.9], [0])
    assert not Prediction(0, 'a', problem='gone').above(0.5).readable
