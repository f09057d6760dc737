"""The prepared work directory against the platform's."""

import os
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ymir_exc.errors import ResultRejected
from ymir_local.platform import assets
from ymir_local.platform.prepare import (
    UNREFERENCED_INDEX_FILES,
    Host,
    ModelStage,
    asset_id,
    hyper_parameters,
    prepare_candidates,
    prepare_training,
)


def training(tmp_path, images, class_names, gpu_count=0, **options):
    options.setdefault('parameters', {'export_format': 'ark:raw', 'max_epochs': 3})
    return prepare_training(
        tmp_path / 'work', class_names, images[:4], images[4:], **options, host=Host(gpu_count, in_container=True)
    )


@pytest.fixture
def stage(tmp_path):
    files = []
    for name in ('best.pth', 'config.py'):
        (tmp_path / name).write_text(name)
        files.append(tmp_path / name)
    return ModelStage('epoch_9', tuple(files), {'class_names': ['target', 'crate'], 'max_epochs': 9}, 0.5, 1700000100)


def config_of(task):
    return yaml.safe_load((task.in_dir / 'config.yaml').read_text())


def test_task_ids_are_the_platforms(tmp_path, images, class_names):
    assert re.fullmatch(r't[0-9a-f]{19}\d{10}', training(tmp_path, images, class_names).task_id)


def test_training_index_names_existing_files(tmp_path, images, class_names):
    task = training(tmp_path, images, class_names)
    for split, expected in (('train', images[:4]), ('val', images[4:])):
        lines = (task.in_dir / f'{split}-index.tsv').read_text().split('\n')
        assert lines.pop() == ''
        for line, image in zip(lines, expected, strict=True):
            name = asset_id(image.path)
            asset, annotation = line.split('\t')
            assert asset == f'/in/assets/{name[-2:]}/{name}.jpg'
            assert annotation == f'/in/annotations/{name[-2:]}/{name}.txt'
            assert (task.work_dir / asset[1:]).read_bytes() == image.path.read_bytes()
            assert len((task.work_dir / annotation[1:]).read_text().splitlines()) == len(image.boxes)
    assert (task.in_dir / 'assets').is_symlink() and (task.in_dir / 'assets').resolve().is_dir()


@pytest.mark.parametrize('export_format, files', [('voc:raw', 6), ('', 6), ('coco:raw', 1), ('none:raw', 0)])
def test_other_annotation_formats(tmp_path, images, class_names, export_format, files):
    task = training(tmp_path, images, class_names, parameters={'export_format': export_format})
    assert len([path for path in (task.in_dir / 'annotations').rglob('*') if path.is_file()]) == files
    assert len((task.in_dir / 'train-index.tsv').read_text().splitlines()) == (4 if files else 0)


def test_reserved_keys_of_the_config(tmp_path, images, class_names, stage):
    task = training(
        tmp_path,
        images,
        class_names,
        gpu_count=2,
        parameters={'max_epochs': 3, 'pretrained_model_params': ['/template/says.pth'], 'task_id': 'x'},
    )
    assert config_of(task) == {
        'task_id': task.task_id,
        'class_names': class_names,
        'gpu_id': '0,1',
        'gpu_count': 2,
        'object_type': 2,
        'max_epochs': 3,
    }


def test_pretrained_stage_is_extracted(tmp_path, images, class_names, stage):
    task = training(tmp_path, images, class_names, pretrained=stage)
    paths = config_of(task)['pretrained_model_params']
    assert paths == ['/in/models/epoch_9/best.pth', '/in/models/epoch_9/config.py']
    assert [(task.work_dir / path[1:]).read_text() for path in paths] == ['best.pth', 'config.py']
    info = yaml.safe_load((task.in_dir / 'models/ymir-info.yaml').read_text())
    assert info['executor_config']['class_names'] == ['target', 'crate']
    assert info['stages']['epoch_9'] == {
        'stage_name': 'epoch_9',
        'files': ['best.pth', 'config.py'],
        'timestamp': 1700000100,
        'mAP': 0.5,
    }


def test_out_is_what_the_platform_leaves_there(tmp_path, images, class_names):
    task = training(tmp_path, images, class_names)
    assert re.fullmatch(task.task_id + r'\t\d+\.\d{6}\t0\.00\t1\t0\n', task.monitor_file.read_text())
    assert task.log_file.read_bytes() == b''
    for path in (task.out_dir, task.out_dir / 'models', task.out_dir / 'tensorboard', task.monitor_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o777
    assert (task.out_dir / 'tensorboard').is_symlink()


def test_mining_and_inference_in_one_run(tmp_path, images, stage):
    paths = [image.path for image in images]
    task = prepare_candidates(tmp_path / 'work', paths, stage, {'conf_threshold': 0.1}, mining=True, infer=True)
    assert config_of(task) == {
        'task_id': task.task_id,
        'class_names': ['target', 'crate'],
        'gpu_id': '',
        'gpu_count': 0,
        'object_type': 2,
        'run_mining': True,
        'run_infer': True,
        'conf_threshold': 0.1,
        'model_params_path': [f'{task.in_dir}/models/epoch_9/best.pth', f'{task.in_dir}/models/epoch_9/config.py'],
    }
    env = yaml.safe_load((task.in_dir / 'env.yaml').read_text())
    assert (env['run_training'], env['run_mining'], env['run_infer']) == (False, True, True)
    assert env['input']['training_index_file'] == env['input']['val_index_file'] == ''
    # without a container the paths are those of this machine
    lines = Path(env['input']['candidate_index_file']).read_text().splitlines()
    assert [Path(line).read_bytes() for line in lines] == [path.read_bytes() for path in paths]


def test_in_of_a_training_holds_exactly_the_platforms_files(tmp_path, images, class_names):
    task = training(tmp_path, images, class_names)
    names = [asset_id(image.path) for image in images]
    assert sorted(path.name for path in task.in_dir.iterdir()) == sorted(
        (
            'annotations',
            'assets',
            'config.yaml',
            'env.yaml',
            'models',
            'predictions',
            'train-index.tsv',
            'val-index.tsv',
            *UNREFERENCED_INDEX_FILES,
        )
    )
    assert all((task.in_dir / name).read_bytes() == b'' for name in UNREFERENCED_INDEX_FILES)
    for name in ('annotations', 'models', 'predictions'):
        assert (task.in_dir / name).is_dir() and not (task.in_dir / name).is_symlink()
    assert list((task.in_dir / 'models').iterdir()) == list((task.in_dir / 'predictions').iterdir()) == []
    written = [path.relative_to(task.in_dir / 'annotations').as_posix() for path in task.in_dir.rglob('*.txt')]
    assert sorted(written) == sorted(f'{n[-2:]}/{n}.txt' for n in names)
    assert (task.in_dir / 'assets').readlink() == task.work_dir / 'asset_cache'
    assert (task.in_dir / 'val-index.tsv').read_bytes() == ''.join(
        f'/in/assets/{n[-2:]}/{n}.jpg\t/in/annotations/{n[-2:]}/{n}.txt\n' for n in names[4:]
    ).encode()
    boxes = (images[5].boxes[0],) if images[5].boxes else ()
    text = (task.in_dir / f'annotations/{names[5][-2:]}/{names[5]}.txt').read_text()
    assert text.startswith(
        ''.join(f'{b.class_index}, {b.x}, {b.y}, {b.x + b.w - 1}, {b.y + b.h - 1}, -1.0, 0.0\n' for b in boxes)
    )
    assert (task.out_dir / 'tensorboard/executor.log').readlink() == task.log_file


def test_in_of_an_inference_holds_exactly_the_platforms_files(tmp_path, images, stage):
    paths = [image.path for image in images]
    task = prepare_candidates(
        tmp_path / 'work', paths, stage, {'conf_threshold': 0.1}, infer=True, host=Host(in_container=True)
    )
    assert sorted(path.name for path in task.in_dir.iterdir()) == sorted(
        (
            'annotations',
            'assets',
            'candidate-index.tsv',
            'candidate-src-index.tsv',
            'config.yaml',
            'env.yaml',
            'models',
            'predictions',
        )
    )
    names = [asset_id(path) for path in paths]
    assert (task.in_dir / 'candidate-index.tsv').read_bytes() == ''.join(
        f'/in/assets/{n[-2:]}/{n}.jpg\n' for n in names
    ).encode()
    assert (task.in_dir / 'candidate-src-index.tsv').read_bytes() == ''.join(f'{path}\n' for path in paths).encode()
    assert (task.in_dir / 'config.yaml').read_text() == (
        "class_names:\n- target\n- crate\nconf_threshold: 0.1\ngpu_count: 0\ngpu_id: ''\nmodel_params_path:\n"
        '- /in/models/epoch_9/best.pth\n- /in/models/epoch_9/config.py\nobject_type: 2\nrun_infer: true\n'
        f'run_mining: false\ntask_id: {task.task_id}\n'
    )
    assert not task.log_file.exists()  # docker's output makes it
    assert (task.out_dir / 'tensorboard').is_dir() and not (task.out_dir / 'tensorboard').is_symlink()


def test_names_in_chinese_stand_in_the_config_as_they_are(tmp_path, images):
    task = training(tmp_path, images, [' 叉车', 'Pallet ', 'star'])
    text = (task.in_dir / 'config.yaml').read_text(encoding='utf-8')
    assert text.startswith('class_names:\n- 叉车\n- pallet\n- star\nexport_format: ark:raw\n')


@pytest.mark.parametrize(
    'content, suffix',
    [(b'\xff\xd8..', 'jpg'), (b'\x89PNG..', 'png'), (b'BM..', 'bmp'), (b'RIFF..', 'unknown'), (b'', 'unknown')],
)
def test_ending_says_what_the_bytes_are(tmp_path, stage, content, suffix):
    (tmp_path / 'a 图.jpeg').write_bytes(content)
    task = prepare_candidates(
        tmp_path / 'work', [tmp_path / 'a 图.jpeg'], stage, infer=True, host=Host(in_container=True)
    )
    asset = (task.in_dir / 'candidate-index.tsv').read_text().strip()
    assert asset.endswith(f'.{suffix}') and (task.work_dir / asset[1:]).read_bytes() == content


@pytest.mark.parametrize('in_container', [False, True])
def test_assets_are_links_where_the_file_system_can(tmp_path, images, stage, monkeypatch, in_container):
    def asset(name, **host):
        task = prepare_candidates(
            tmp_path / name, [images[0].path], stage, infer=True, host=Host(in_container=in_container, **host)
        )
        return next(path for path in (task.work_dir / 'asset_cache').rglob('*') if not path.is_dir())

    assert asset('hard').samefile(images[0].path) and not asset('hard2').is_symlink()
    assert not asset('copy', link_assets=False).samefile(images[0].path)

    def reject(*_):
        raise OSError(18, 'Invalid cross-device link')

    monkeypatch.setattr('os.link', reject)
    other = asset('other')  # a link would lead nowhere within a container
    assert other.is_symlink() != in_container and other.read_bytes() == images[0].path.read_bytes()


def test_copies_are_clones_where_the_file_system_can(tmp_path, images, monkeypatch):
    path = images[0].path
    assets.copy(path, tmp_path / 'copy.jpg')
    assert (tmp_path / 'copy.jpg').read_bytes() == path.read_bytes() and not (tmp_path / 'copy.jpg').samefile(path)

    def clone(writer, command, reader):
        assert command == 0x40049409 and os.path.samestat(os.fstat(reader), os.stat(path))
        writer.write(b'shared')

    monkeypatch.setattr('fcntl.ioctl', clone)
    assets.copy(path, tmp_path / 'clone.jpg')
    assert (tmp_path / 'clone.jpg').read_bytes() == b'shared'


def test_manifest_is_that_of_the_executor(tmp_path, images, class_names, stage):
    paths = [image.path for image in images]
    for number, in_container in enumerate((False, True)):
        for kind, task in (
            (
                'training',
                prepare_training(
                    tmp_path / f't{number}',
                    class_names,
                    images,
                    [],
                    {},
                    host=Host(in_container=in_container, img_man=tmp_path / 'other'),
                ),
            ),
            (
                'infer',
                prepare_candidates(
                    tmp_path / f'i{number}',
                    paths,
                    stage,
                    {},
                    infer=True,
                    host=Host(in_container=in_container, img_man=tmp_path / 'other'),
                ),
            ),
        ):
            expected = '/img-man/manifest.yaml' if in_container else str(tmp_path / 'other/manifest.yaml')
            assert yaml.safe_load((task.in_dir / 'env.yaml').read_text())['manifest_file'] == expected, kind


def test_mistakes(tmp_path, images, stage, class_names):
    with pytest.raises(ValueError, match='no candidates'):
        prepare_candidates(tmp_path / 'a', [], stage, {}, mining=True)
    with pytest.raises(ValueError, match='same image'):
        prepare_training(tmp_path / 'a', class_names, [images[0]] * 2, [])
    with pytest.raises(ValueError, match='different labels'):
        prepare_training(tmp_path / 'c', class_names, [images[0]], [replace(images[0], boxes=())])
    for names in ([], ['cat', 'Cat '], ['']):
        with pytest.raises(ValueError, match='class_names'):
            prepare_training(tmp_path / 'd', names, [], [])
    with pytest.raises(ValueError, match='the same image'):
        prepare_candidates(tmp_path / 'a', [images[0].path] * 2, stage, {}, mining=True)
    with pytest.raises(ValueError, match='neither mining nor inference'):
        prepare_candidates(tmp_path / 'b', [images[0].path], stage, {})
    training(tmp_path, images, class_names)
    with pytest.raises(FileExistsError):
        training(tmp_path, images, class_names)


def test_stage_of_a_training(tmp_path, images, class_names):
    task = training(tmp_path, images, class_names)
    models = task.out_dir / 'models'
    (models / 'cfg.py').touch()
    (models / 'b').mkdir()
    (models / 'b/b.pth').touch()
    (models / 'a.pth').touch()
    stages = {
        name: {'stage_name': name, 'files': [f'{name}.pth', 'cfg.py'], 'timestamp': 5, 'mAP': 0.25} for name in 'ab'
    }
    (models / 'result.yaml').write_text(yaml.safe_dump({'best_stage_name': 'b', 'mAP': 0.25, 'model_stages': stages}))
    best = ModelStage.of_training(task)
    assert (best.name, best.files, best.metric) == ('b', (models / 'b/b.pth', models / 'cfg.py'), 0.25)
    assert best.training_config['class_names'] == class_names
    assert ModelStage.of_training(task, 'a').files == (models / 'a.pth', models / 'cfg.py')
    (models / 'a.pth').unlink()
    with pytest.raises(ResultRejected, match='a.pth'):  # the platform rejects the whole result
        ModelStage.of_training(task)


def test_the_web_form_drops_empty_values(tmp_path):
    for name in ('training', 'mining'):
        (tmp_path / f'{name}-template.yaml').write_text("a: ''\nb: 0\nc: false\nd: 5\n")
    assert hyper_parameters('training', {'d': 6}, tmp_path) == {'b': 0, 'c': False, 'd': 6}
    assert hyper_parameters('mining', {'e': 'x'}, tmp_path) == {'d': 5, 'e': 'x'}


def test_a_zero_that_the_user_gives_is_kept(tmp_path):
    for name in ('training', 'mining', 'infer'):
        (tmp_path / f'{name}-template.yaml').write_text('a: 0.2\nb: 0\n')
    for name, expected in {'training': {'a': 0, 'b': 0}, 'mining': {'a': 0}, 'infer': {'a': 0}}.items():
        assert hyper_parameters(name, {'a': 0, 'c': ''}, tmp_path) == expected
