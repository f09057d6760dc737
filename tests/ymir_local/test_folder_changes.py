"""What changes below `in` while a task runs."""

import os

from ymir_local.platform.folder_changes import changes_since, files_below, listing
from ymir_local.platform.prepare import ModelStage, prepare_candidates


def test_nothing_everything_and_links(tmp_path):
    folder = tmp_path / 'in'
    (folder / 'models').mkdir(parents=True)
    (folder / 'models/a.pth').write_bytes(b'weights')
    (folder / 'models/up').symlink_to(folder)  # leads back up
    (folder / 'models/broken').symlink_to('nowhere')
    before = listing(folder)
    assert set(before) == {'models', 'models/a.pth', 'models/up', 'models/broken'}
    assert changes_since(before, folder) == {} and listing(tmp_path / 'nothing') == {}

    (folder / 'models/a.pth').unlink()
    (folder / 'models/cache').mkdir()
    (folder / 'models/cache' / os.fsdecode(b'odd\xff\n')).touch()
    (folder / 'models/broken').unlink()
    (folder / 'models/broken').mkdir()
    assert changes_since(before, folder) == {
        'models/a.pth': 'removed',
        'models/broken': 'changed',
        'models/cache': 'added',
        os.fsdecode(b'models/cache/odd\xff\n'): 'added',
    }


def test_writing_through_the_path_of_an_image(tmp_path, images):
    """The cache holds hard links for a container, and where none can be made symbolic links for a process."""
    model = tmp_path / 'model.pth'
    model.write_bytes(b'weights')
    task = prepare_candidates(
        tmp_path / 'work',
        [image.path for image in images[:2]],
        ModelStage('best', (model,), {'class_names': ['target']}),
        {},
        infer=True,
    )
    cache = (task.in_dir / 'assets').resolve()
    paths = [path for path in sorted(cache.rglob('*.*')) if path.is_file()]
    paths[1].unlink()
    paths[1].symlink_to(images[1].path)
    before = listing(task.in_dir)
    for path in paths:
        status = path.stat()
        with open(path, 'r+b') as stream:  # one byte, and not the size
            stream.write(b'\x00')
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))  # clocks may be coarse
    assert changes_since(before, task.in_dir) == {f'assets/{path.relative_to(cache)}': 'changed' for path in paths}


def test_files_below_leaves_links_out(tmp_path):
    (tmp_path / 'sub').mkdir()
    (tmp_path / 'sub/a.txt').write_text('1234')
    (tmp_path / 'link').symlink_to(tmp_path / 'sub/a.txt')
    assert files_below(tmp_path) == [('sub/a.txt', 4)]
