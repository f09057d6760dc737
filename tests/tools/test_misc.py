"""tools/misc: what each command line writes, number for number."""

import functools
import hashlib
import http.server
import io
import json
import shutil
import tarfile
import threading
import zipfile

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from tests.tools.running import load_tool, run_tool


def coco(num_images=10):
    """Image i has i annotations, of categories 1 and 2 in turn and growing area."""
    annotations = [
        {
            'id': 100 * i + k,
            'image_id': i,
            'category_id': 1 + k % 2,
            'bbox': [0, 0, 20 * (k + 1), 20],
            'area': 400 * (k + 1),
        }
        for i in range(num_images)
        for k in range(i)
    ]
    return {
        'info': 'mine',
        'images': [{'id': i, 'file_name': f'{i}.jpg', 'width': 400, 'height': 400} for i in range(num_images)],
        'categories': [{'id': 1, 'name': '猫'}, {'id': 2, 'name': 'dog'}],
        'annotations': annotations,
    }


def ids(content):
    return [image['id'] for image in content['images']]


@pytest.mark.parametrize(
    'ratios, sizes',
    [
        (['0.8', '0.2'], {'trainval': 8, 'test': 2}),
        (['7', '3'], {'trainval': 7, 'test': 3}),
        (['0.6', '0.25', '0.25'], {'train': 6, 'val': 2, 'test': 2}),  # 10 * 0.25 / 1.1 is rounded down
    ],
)
def test_coco_split(tmp_path, ratios, sizes):
    (tmp_path / 'all.json').write_text(json.dumps(coco()))
    load_tool('misc/coco_split').main(
        ['--json', str(tmp_path / 'all.json'), '--out-dir', str(tmp_path / 'parts'), '--ratios', *ratios]
    )
    parts = {path.stem: json.loads(path.read_text()) for path in (tmp_path / 'parts').iterdir()}
    assert {name: len(part['images']) for name, part in parts.items()} == sizes
    assert sum((ids(parts[name]) for name in sizes), []) == list(range(10))
    for part in parts.values():
        assert part['info'] == 'mine' and part['categories'] == coco()['categories']
        assert part['annotations'] == [a for a in coco()['annotations'] if a['image_id'] in ids(part)]


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'gbk'])
def test_coco_split_in_other_encodings(tmp_path, encoding):
    (tmp_path / 'all.json').write_bytes(json.dumps(dict(coco(), info='我的'), ensure_ascii=False).encode(encoding))
    load_tool('misc/coco_split').main(
        ['--json', str(tmp_path / 'all.json'), '--out-dir', str(tmp_path), '--ratios', '1', '1']
    )
    assert json.loads((tmp_path / 'test.json').read_text(encoding='utf-8'))['info'] == '我的'


@pytest.mark.parametrize('text', ['', '[]', '{"images": []}', '{"annotations": []}', '{"images": {}}'])
def test_coco_split_of_nothing_is_an_error(tmp_path, text):
    (tmp_path / 'all.json').write_text(text)
    with pytest.raises(ValueError, match=r'all\.json cannot be split'):
        load_tool('misc/coco_split').main(
            ['--json', str(tmp_path / 'all.json'), '--out-dir', str(tmp_path), '--ratios', '1', '1']
        )
    assert not (tmp_path / 'test.json').exists()


def test_coco_split_by_chance_repeats_with_a_seed(tmp_path):
    (tmp_path / 'all.json').write_text(json.dumps(coco()))
    draws = {}
    for name, seed in ('a', 3), ('b', 3), ('c', 4):
        load_tool('misc/coco_split').main(
            [
                '--json',
                str(tmp_path / 'all.json'),
                '--out-dir',
                str(tmp_path / name),
                '--ratios',
                '1',
                '1',
                '--shuffle',
                '--seed',
                str(seed),
            ]
        )
        draws[name] = ids(json.loads((tmp_path / name / 'trainval.json').read_text()))
    assert draws['a'] == draws['b'] != draws['c']
    assert draws['a'] != sorted(draws['a'])


@pytest.mark.parametrize('ratios', [[], ['--ratios', '1'], ['--ratios', '1', '0']])
def test_coco_split_wants_ratios(tmp_path, ratios, capsys):
    with pytest.raises(SystemExit):
        load_tool('misc/coco_split').main(['--json', 'x.json', '--out-dir', str(tmp_path), *ratios])
    assert '--ratios' in capsys.readouterr().err


@pytest.fixture
def coco_folder(tmp_path):
    root = tmp_path / 'coco'
    for part, count in ('train', 6), ('val', 10):
        content = coco(count)
        (root / f'{part}2017').mkdir(parents=True)
        for image in content['images']:
            (root / f'{part}2017' / image['file_name']).write_text(f'{part} {image["id"]}')
        (root / 'annotations').mkdir(exist_ok=True)
        (root / 'annotations' / f'instances_{part}2017.json').write_text(json.dumps(content))
    return root


def extract(root, *options):
    out = root.parent / 'small'
    shutil.rmtree(out, ignore_errors=True)
    load_tool('misc/extract_subcoco').main([str(root), str(out), *options])
    parts = {}
    for name in 'train', 'val':
        parts[name] = json.loads((out / 'annotations' / f'instances_{name}2017.json').read_text())
        copied = {path.name: path.read_text() for path in (out / f'{name}2017').iterdir()}
        assert sorted(copied) == sorted(image['file_name'] for image in parts[name]['images'])
        parts[f'{name} from'] = {text.split()[0] for text in copied.values()}
    return parts


def test_extract_subcoco(coco_folder):
    parts = extract(coco_folder, '--num-img', '4', '--seed', '1')
    assert parts['train from'] == parts['val from'] == {'val'}
    assert len(parts['train']['images']) == len(parts['val']['images']) == 4
    for name in 'train', 'val':
        assert parts[name]['annotations'] == [a for a in coco()['annotations'] if a['image_id'] in ids(parts[name])]
    assert extract(coco_folder, '--num-img', '4', '--seed', '1') == parts


def test_extract_subcoco_from_the_training_set(coco_folder):
    parts = extract(coco_folder, '--num-img', '-1', '--use-training-set')
    assert parts['train from'] == {'train'} and ids(parts['train']) == list(range(6))
    assert parts['val from'] == {'val'} and ids(parts['val']) == list(range(10))


def test_extract_subcoco_filters(coco_folder):
    # areas are 400, 800, 1200 ... and small is below 1024: the first two of each image, of which the second is a dog
    parts = extract(coco_folder, '--area-size', 'small', '--classes', 'dog')
    assert ids(parts['val']) == list(range(2, 10))
    assert [a['id'] for a in parts['val']['annotations']] == [100 * i + 1 for i in range(2, 10)]
    medium = extract(coco_folder, '--area-size', 'medium')
    assert ids(medium['val']) == list(range(3, 10)) and medium['val']['annotations'][0]['area'] == 1200


def test_extract_subcoco_rejects(coco_folder):
    for options, said in ((['--classes', 'cow'], 'cow'), (['--area-size', 'large'], 'No image')):
        with pytest.raises(ValueError, match=said):
            extract(coco_folder, *options)
    with pytest.raises(ValueError, match='out_dir is root'):
        load_tool('misc/extract_subcoco').main([str(coco_folder), str(coco_folder)])


def printed_config(capsys):
    head, _, text = capsys.readouterr().out.partition('Config:\n')
    assert head == ''
    return Config.fromstring(text, '.py').to_dict()


def test_print_config(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'base.py').write_text("a = 1\nb = dict(c='x', d='${a}')\n")
    (tmp_path / 'config.py').write_text("_base_ = './base.py'\n")
    load_tool('misc/print_config').main(
        ['config.py', '--save-path', 'all.json', '--cfg-options', 'a=5', 'b.c=two words']
    )
    assert printed_config(capsys) == {'a': 5, 'b': {'c': 'two words', 'd': 5}}
    assert json.loads((tmp_path / 'all.json').read_text())['b'] == {'c': 'two words', 'd': 5}
    load_tool('misc/print_config').main(['config.py', '--save-path', 'all.py'])
    assert Config.fromfile('all.py').b.d == 1


def test_print_config_moves_the_data(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('MMDET_DATASETS', 'elsewhere/')
    (tmp_path / 'config.py').write_text("data_root = 'data/coco/'\nann = data_root + 'train.json'\n")
    load_tool('misc/print_config').main([str(tmp_path / 'config.py')])
    assert printed_config(capsys)['ann'] == 'elsewhere/train.json'


def test_publish_model(tmp_path):
    weight = torch.arange(6.0).view(2, 3)
    torch.save(
        {
            'meta': {'epoch': 3},
            'message_hub': {'loss': HistoryBuffer([1.0], [1])},
            'optimizer': {'state': 1},
            'ema_state_dict': {'steps': 1},
            'param_schedulers': [{'last_step': 2}],
            'state_dict': {
                'backbone.weight': weight,
                'data_preprocessor.mean': weight,
                'bbox_head.priors_base_sizes': weight,
                'bbox_head.grid_offset': weight,
                'bbox_head.assigner.prior_inds': weight,
            },
        },
        tmp_path / 'epoch_3.pth',
    )
    run_tool('misc/publish_model', tmp_path / 'epoch_3.pth', tmp_path / 'out/a')
    load_tool('misc/publish_model').main([str(tmp_path / 'epoch_3.pth'), str(tmp_path / 'out/b.pth')])
    written = sorted((tmp_path / 'out').iterdir())
    digest = hashlib.sha256(written[0].read_bytes()).hexdigest()[:8]
    assert [path.name for path in written] == [f'a-{digest}.pth', f'b-{digest}.pth']
    published = torch.load(written[0], weights_only=True)
    assert sorted(published) == ['meta', 'param_schedulers', 'state_dict']
    assert list(published['state_dict']) == ['backbone.weight']
    torch.testing.assert_close(published['state_dict']['backbone.weight'], weight)


def test_publish_model_rejects_what_has_no_weights(tmp_path):
    torch.save({'a': 1}, tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='no state_dict'):
        load_tool('misc/publish_model').main([str(tmp_path / 'x.pth'), str(tmp_path / 'y')])
    assert [path.name for path in tmp_path.iterdir()] == ['x.pth']


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves two archives; the table of the tool names them as `coco2017` and, with one that is absent, as `cat`."""
    folder = tmp_path / 'served'
    folder.mkdir()
    with zipfile.ZipFile(folder / 'one.zip', 'w') as file:
        file.writestr('one/a.txt', 'first')
    with tarfile.open(folder / 'two.tar', 'w') as file:
        entry = tarfile.TarInfo('two/b.txt')
        entry.size = 6
        file.addfile(entry, io.BytesIO(b'second'))

    class Handler(http.server.SimpleHTTPRequestHandler):
        asked = []

        def log_message(self, *args):
            pass

        def do_GET(self):
            self.asked.append(self.path)
            if self.path == '/cut.zip':
                self.send_response(200)
                self.send_header('Content-Length', '1000')
                self.end_headers()
                self.wfile.write(b'x' * 10)
            else:
                super().do_GET()

    with http.server.ThreadingHTTPServer(
        ('127.0.0.1', 0), functools.partial(Handler, directory=str(folder))
    ) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        base = f'http://127.0.0.1:{running.server_port}'
        table = {
            'coco2017': (f'{base}/one.zip', f'{base}/two.tar'),
            'cat': (f'{base}/one.zip', f'{base}/none.zip', f'{base}/cut.zip'),
        }
        tool = load_tool('misc/download_dataset')
        monkeypatch.setattr(tool, 'ARCHIVES', table)
        tool.asked = Handler.asked
        yield tool
        running.shutdown()


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())


def test_download_keeps_archives_and_does_not_repeat(server, tmp_path):
    folder = tmp_path / 'data'
    for options in [], ['--unzip']:
        server.main(['--save-dir', str(folder), *options])
    assert names(folder) == ['one.zip', 'one/a.txt', 'two.tar', 'two/b.txt']
    assert (folder / 'two/b.txt').read_text() == 'second'
    assert sorted(server.asked) == ['/one.zip', '/two.tar']


def test_download_unzips_and_deletes(server, tmp_path):
    server.main(['--save-dir', str(tmp_path / 'data'), '--unzip', '--delete', '--threads', '1'])
    assert names(tmp_path / 'data') == ['one/a.txt', 'two/b.txt']
    with pytest.raises(SystemExit):
        server.main(['--save-dir', str(tmp_path / 'data'), '--delete'])


def test_download_tells_every_failure(server, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        server.main(['--dataset-name', 'cat', '--save-dir', str(tmp_path / 'data')])
    said = str(stopped.value)
    assert '2 of 3 archives failed' in said and 'none.zip: HTTP Error 404' in said and 'cut.zip: ' in said
    assert names(tmp_path / 'data') == ['one.zip']  # nothing half


def test_download_table():
    table = load_tool('misc/download_dataset').ARCHIVES
    assert list(table) == ['coco2017', 'lvis', 'voc2007', 'voc2012', 'balloon', 'cat']
    assert all(len(set(urls)) == len(urls) for urls in table.values())
