"""What command-line tools share."""

import numpy as np
import pytest
from mmengine.config import Config

from mmyolo.utils import is_metainfo_lower
from mmyolo.utils.misc import auto_arrange_images, get_file_list, show_data_classes


def test_file_list(tmp_path, monkeypatch):
    names = ['b.JPG', 'a.png', 'deep/c.webp', 'notes.txt', 'deep/d.jpeg.bak']
    for name in names:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    files, kind = get_file_list(str(tmp_path))
    assert files == sorted(str(tmp_path / name) for name in names[:3])
    assert kind == {'is_dir': True, 'is_url': False, 'is_file': False}
    assert get_file_list('no/such.JPG') == (['no/such.JPG'], {'is_dir': False, 'is_url': False, 'is_file': True})
    with pytest.raises(ValueError, match='notes.txt is neither a directory, nor an address, nor an image'):
        get_file_list(str(tmp_path / 'notes.txt'))
    (tmp_path / 'empty/below').mkdir(parents=True)
    with pytest.raises(ValueError, match='empty and its sub-directories hold no image'):
        get_file_list(str(tmp_path / 'empty'))


def test_image_from_an_address(monkeypatch):
    fetched = []
    monkeypatch.setattr('torch.hub.download_url_to_file', lambda url, file: fetched.append((url, file)))
    address = 'https://example.com/images/a%20dog.jpg?size=5'
    assert get_file_list(address) == (['a dog.jpg'], {'is_dir': False, 'is_url': True, 'is_file': False})
    assert fetched == [(address, 'a dog.jpg')]


@pytest.mark.parametrize('count', [0, 1, 24, 25, 26, 50, 80])
def test_every_class_is_shown(count, capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '200')
    show_data_classes([f'name{i:02d}' for i in range(count)])
    shown = capsys.readouterr().out
    assert 'Information of dataset class' in shown
    assert all(f'name{i:02d}' in shown for i in range(count))


@pytest.mark.parametrize(
    'count, columns, shape', [(1, 2, (4, 6)), (2, 2, (4, 12)), (4, 2, (8, 12)), (5, 2, (12, 12)), (4, 3, (8, 18))]
)
def test_grid(count, columns, shape):
    images = [np.full((4, 6, 3), i, dtype=np.uint8) for i in range(count)]
    grid = auto_arrange_images(images, columns)
    assert grid.shape == (*shape, 3)
    assert len(images) == count
    cells = grid.reshape(shape[0] // 4, 4, shape[1] // 6, 6, 3)[:, 0, :, 0, 0].flatten().tolist()
    assert cells == list(range(count)) + [255] * (len(cells) - count)


def test_metainfo():
    inner = {'type': 'RepeatDataset', 'dataset': {'type': 'YOLOv5CocoDataset', 'metainfo': {'classes': ('a',)}}}
    is_metainfo_lower(Config({'train_dataloader': {'dataset': inner}, 'val_dataloader': None}))
    inner['dataset']['metainfo'] = {'CLASSES': ('a',)}
    with pytest.raises(AssertionError, match=r"val_dataloader.dataset.dataset.metainfo has the keys \['CLASSES'\]"):
        is_metainfo_lower(Config({'val_dataloader': {'dataset': inner}}))
