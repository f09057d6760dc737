"""Where weights come from, by rule."""

import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tmi.errors import TaskError
from tmi.zoo import fetch, weights
from tmi.zoo.table import public_checkpoints
from tmi.zoo.weights import choose_inference_model, choose_training_weights
from ymir.errors import code_of

STEM = 'yolov8_n_syncbn_fast_8xb16-500e_coco'


def make_files(folder, *names):
    for name in names:
        (folder / name).write_bytes(name.encode())
    return [str(folder / name) for name in names]


@pytest.fixture
def public_dir(tmp_path, monkeypatch):
    folder = tmp_path / 'weights'
    folder.mkdir()
    monkeypatch.setenv(weights.WEIGHTS_DIR_VARIABLE, str(folder))
    return folder


def test_the_package_comes_first_in_the_order_of_its_list(tmp_path, public_dir):
    files = make_files(tmp_path, 'b.py', 'b.pth', 'a.pth')
    os.utime(files[2], (2e9, 2e9))  # the newest, which must not matter
    choice = choose_training_weights(files, STEM)
    assert (choice.source, choice.checkpoint.name) == ('package', 'b.pth')


def test_a_file_named_best_comes_before_others(tmp_path, public_dir):
    files = make_files(tmp_path, 'epoch_12.pth', 'best_coco_bbox_mAP_epoch_9.pth')
    assert choose_training_weights(files, STEM).checkpoint.name == 'best_coco_bbox_mAP_epoch_9.pth'


def test_relative_paths_lie_in_the_models_directory(tmp_path, public_dir):
    make_files(tmp_path, 'a.pt')
    assert choose_training_weights(['a.pt'], STEM, models_dir=str(tmp_path)).checkpoint == tmp_path / 'a.pt'


def test_a_package_without_weights_is_an_error(tmp_path, public_dir):
    files = make_files(tmp_path, 'a.py') + [str(tmp_path / 'gone.pth')]
    with pytest.raises(TaskError) as caught:
        choose_training_weights(files, STEM)
    assert code_of(caught.value) == 300004 and 'gone.pth' in caught.value.sentence


def test_public_weights_of_exactly_this_model(public_dir, monkeypatch, caplog):
    caplog.set_level('INFO', 'tmi')
    head = hashlib.sha256(b'weights').hexdigest()[:8]
    row = replace(public_checkpoints()[STEM], url=f'https://example.org/public-{head}.pth')
    path = public_dir / f'public-{head}.pth'
    path.write_bytes(b'weights')
    monkeypatch.setattr(weights, 'model_table', lambda: {STEM: row})
    assert choose_training_weights([], STEM).checkpoint == path
    assert f'{path}, the public checkpoint of {STEM} (COCO box AP 37.2)' in caplog.text
    # The reference took the nearest name: yolov8_l trained from yolov8_s.
    assert choose_training_weights([], STEM.replace('_n_', '_l_')).source == 'scratch'
    assert choose_training_weights([], STEM, use_public=False).source == 'scratch'


def test_damaged_public_weights_are_an_error(public_dir):
    (public_dir / public_checkpoints()[STEM].file_name).write_bytes(b'half a file')
    with pytest.raises(TaskError, match='88c11cdb') as caught:
        choose_training_weights([], STEM)
    assert code_of(caught.value) == 300004


def test_from_scratch_says_why(public_dir, caplog):
    caplog.set_level('INFO', 'tmi')
    assert choose_training_weights([], STEM).checkpoint is None
    assert 'this image holds no' in caplog.text and 'from scratch' in caplog.text


@pytest.mark.parametrize('name, detector', [('nano', 'vidt_nano_50.pth'), ('wo_neck_nano', None)])
def test_a_backbone_takes_the_place_of_a_detector_that_is_not_there(public_dir, name, detector):
    stem = f'vidt_{name}_8xb2-50e_coco'
    assert choose_training_weights([], stem).source == 'scratch'
    make_files(public_dir, 'swin_nano_patch4_window7_224.pth')
    choice = choose_training_weights([], stem)
    assert (choice.source, choice.checkpoint.name) == ('backbone', 'swin_nano_patch4_window7_224.pth')
    assert not choice.is_detector and 'of the backbone alone' in choice.reason
    assert choose_training_weights([], stem, use_public=False).source == 'scratch'
    if detector:
        make_files(public_dir, detector)
        assert choose_training_weights([], stem).checkpoint.name == detector


def test_files_are_fetched_whole(tmp_path, monkeypatch):
    source = tmp_path / 'weights.pth'
    source.write_bytes(b'weights')
    assert fetch.fetch(source.as_uri(), tmp_path / 'out').read_bytes() == b'weights'
    named = tmp_path / 'weights-01234567.pth'
    named.write_bytes(b'weights')
    with pytest.raises(ValueError, match='does not begin with 01234567'):
        fetch.fetch(named.as_uri(), tmp_path / 'out')
    monkeypatch.setattr(fetch.shutil, 'copyfileobj', lambda source, file: file.write(source.read(3)))
    source.rename(tmp_path / 'cut.pth')
    with pytest.raises(ValueError, match='3 of 7 bytes came'):
        fetch.fetch((tmp_path / 'cut.pth').as_uri(), tmp_path / 'out')
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['weights.pth']


def test_the_table_of_public_checkpoints():
    table = public_checkpoints()
    for stem, row in table.items():
        assert row.config.stem == stem and row.config.is_file() and row.dataset and row.metrics
        if stem.startswith('vidt_'):  # published without hashes
            assert (row.sha256_head, row.file_name[-4:]) == ('', '.pth')
            continue
        assert re.fullmatch(rf'.+-{row.sha256_head}[.]pth', row.file_name)
        assert re.fullmatch('[0-9a-f]{8}', row.sha256_head), stem
    files = Path(weights.__file__).parents[2].glob('configs/*/metafile.yml')
    entries = [entry for path in files for entry in yaml.safe_load(path.read_text(encoding='utf-8'))['Models']]
    assert {stem: row.url for stem, row in table.items()} == {
        Path(entry['Config']).stem: entry['Weights'] for entry in entries
    }
    assert len(table) == 82


def test_inference_takes_weights_and_config(tmp_path):
    files = make_files(tmp_path, 'm.onnx', 'm.py', 'm.pth')
    model = choose_inference_model(files)
    assert (model.checkpoint.name, model.config.name) == ('m.pth', 'm.py')
    assert choose_inference_model(files[2:]).config is None
    with pytest.raises(TaskError) as caught:
        choose_inference_model([])
    assert code_of(caught.value) == 300004
