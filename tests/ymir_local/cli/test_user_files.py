"""What the user brings stays as it is, whatever the executor does."""

import json
from pathlib import Path


def state(folder):
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def test_another_executor_gets_copies(ymir, trained, rude, coco_folder):
    before = state(coco_folder)
    code, text, errors = ymir('infer', coco_folder, *rude, '--model', trained, '--out', 'run', '--json')
    assert code == 0 and 'below in/' in errors, errors
    assert list(json.loads(text)['in_changes'].values()) == ['added', *['changed'] * 6]
    assert state(coco_folder) == before


def test_links_are_given_to_another_executor_where_the_user_says_so(ymir, trained, fake, coco_folder):
    for option, links in (('--link', 2), ('--copy', 1)):
        code, _, errors = ymir('infer', coco_folder, *fake, '--model', trained, '--out', f'run{option}', option)
        assert code == 0, errors
        assert all(path.stat().st_nlink == links for path in Path(f'run{option}/asset_cache').rglob('*.jpg'))


def test_many_classes(ymir, fake, coco_folder):
    """More text than the name of a file can hold."""
    names = ['target', *(f'class of things number {number}' for number in range(80))]
    code, text, errors = ymir('train', coco_folder, *fake, '--classes', ','.join(names), '--out', 'run', '--json')
    assert code == 0 and json.loads(text)['ok'], errors


def test_images_without_labels_are_mined_too(ymir, trained, fake, coco_folder):
    assert ymir('convert', coco_folder, 'voc', '--to', 'voc')[0] == 0
    for path in sorted(Path('voc/Annotations').iterdir())[:4]:
        path.unlink()
    code, text, errors = ymir('mine', 'voc', *fake, '--model', trained, '--out', 'run', '--json')
    assert code == 0 and json.loads(text)['ranked'] == 6, errors
