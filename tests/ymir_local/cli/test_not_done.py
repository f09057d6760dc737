"""What was asked for and not done is not a success, and an option without effect is reported."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

from ymir_local.datasets import write_dataset
from ymir_local.platform.labels import Dataset, LabelledBox, LabelledImage

YOLO = '0 0.5 0.5 0.5 0.5\n'
XML = '<annotation><object><name>cat</name></object></annotation>'
ARGUMENTS = {'train': (), 'convert': ('converted', '--to', 'coco')}


@pytest.fixture
def make(images, tmp_path):
    """Makes the folder `set` of three images and of files with these texts."""

    def make(folder, files):
        for number, image in enumerate(images[:3]):
            (tmp_path / 'set' / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(image.path, tmp_path / 'set' / folder / f'{number}.jpg')
        for name, text in files.items():
            (tmp_path / 'set' / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / 'set' / name).write_text(text)
        return tmp_path / 'set'

    return make


def coco(**more):
    return json.dumps(
        dict(
            {
                'images': [{'id': k, 'file_name': f'{k}.jpg'} for k in range(3)],
                'annotations': [],
                'categories': [{'id': 1, 'name': 'cat'}],
            },
            **more,
        )
    )


# folder of the images, files, what the sentence says
WITHOUT_BOXES = {
    'labels elsewhere': (
        'images',
        {'yolo_txt/0.txt': YOLO, 'data.yaml': 'train: images\nnames: [cat]'},
        '3 of 3 images have no label file',
    ),
    'labels of other names': (
        'images',
        {'labels/x.txt': YOLO, 'classes.txt': 'cat'},
        '3 of 3 images have no label file',
    ),
    'pixels': ('images', {'labels/0.txt': '0 50 50 20 20', 'classes.txt': 'cat'}, 'divide pixels by width and height'),
    'unknown class': ('images', {'labels/0.txt': '7 0.5 0.5 0.5 0.5', 'classes.txt': 'cat'}, 'class 7 is unknown'),
    'NaN': ('images', {'labels/0.txt': '0 nan 0.5 0.5 0.5', 'classes.txt': 'cat'}, 'labels/0.txt: line 1'),
    'no area': ('images', {'labels/0.txt': '0 0.5 0.5 0 0', 'classes.txt': 'cat'}, 'has no area'),
    'outside': (
        '',
        {'a.json': coco(annotations=[{'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [9e3, 1, 5, 5]}])},
        'lies outside the image',
    ),
    'no annotations in the file': ('', {'a.json': coco(annotations=None)}, 'has no list annotations'),
    'other image ids': (
        '',
        {'a.json': coco(annotations=[{'id': 1, 'image_id': 'a.jpg', 'category_id': 1, 'bbox': [1, 1, 5, 5]}])},
        "image_id 'a.jpg' is not among the images",
    ),
    'VOC without corners': ('', {'0.xml': XML}, 'the box has no usable numbers'),
}


@pytest.mark.parametrize('command', ARGUMENTS)
@pytest.mark.parametrize('name', WITHOUT_BOXES)
def test_no_box(ymir, make, fake, command, name):
    folder, files, words = WITHOUT_BOXES[name]
    options = (*fake, '--out', 'run') if command == 'train' else ()
    code, text, errors = ymir(command, make(folder, files), *ARGUMENTS[command], *options, '--json')
    assert code == 2 and json.loads(text)['ok'] is False
    assert words in json.loads(text)['error'] and ('no box' in errors or 'labelled box' in errors), errors
    assert not Path('run').exists() and not Path('converted').exists()


def test_images_alone_are_not_converted(ymir, make):
    code, _, errors = ymir('convert', make('images', {}), 'converted', '--to', 'yolo')
    assert code == 2 and 'no box was read' in errors and not Path('converted').exists()


def test_images_that_are_known_to_be_empty_are_converted(ymir, make):
    make('images', {f'labels/{number}.txt': '' for number in range(3)})
    code, text, errors = ymir('convert', make('images', {'classes.txt': 'cat'}), 'converted', '--to', 'coco', '--json')
    assert (code, json.loads(text)['images'], json.loads(text)['boxes']) == (0, 3, 0), errors


def test_classes_of_which_there_is_no_box(ymir, coco_folder, fake):
    code, _, errors = ymir('train', coco_folder, '--classes', 'zebra', *fake)
    assert code == 2 and "no class is called 'zebra'" in errors and 'nothing to train on' in errors
    code, _, errors = ymir('convert', coco_folder, 'converted', '--to', 'coco', '--classes', 'zebra')
    assert code == 2 and "no class is called 'zebra'" in errors


# key=value, what config.yaml has, what is said
TYPED = [
    ('infer', 'conf_threshold=0', 0, 'conf_threshold=0 counts here; on the platform it would not'),
    ('infer', 'conf_threshold=0.0', 0.0, 'conf_threshold=0.0 counts here'),
    ('infer', 'conf_threshold=0.3', 0.3, None),
    ('infer', 'conf_threshold=', None, 'conf_threshold is empty, so config.yaml has no conf_threshold'),
    ('mine', 'conf_threshold=0', 0, 'for the form of mining drops zeros'),
    ('mine', 'seed=0', 0, 'seed=0 counts here'),
    ('infer', 'debug=false', 'false', None),
    ('infer', None, 0.25, None),
    ('train', 'max_epochs=1', 1, None),
    ('train', 'curves=0', 0, None),
    ('train', 'model_name=', None, 'model_name is empty'),
]


@pytest.mark.parametrize('command, argument, value, said', TYPED)
def test_values_that_the_form_drops(ymir, coco_folder, fake, trained, command, argument, value, said):
    for name in ('infer', 'mining'):
        path = Path(fake[3]) / f'{name}-template.yaml'
        path.write_text(path.read_text() + 'conf_threshold: 0.25\nseed: 0\ndebug: true\n')
    model = () if command == 'train' else ('--model', trained)
    code, _, errors = ymir(command, coco_folder, *filter(None, [argument]), *model, *fake, '--out', 'run', '-q')
    assert code == 0, errors
    config = yaml.safe_load(Path('run/in/config.yaml').read_text())
    assert config.get((argument or 'conf_threshold').partition('=')[0]) == value
    warned = [
        line for line in errors.splitlines() if line.startswith('warning: ') and 'is not in the template' not in line
    ]
    assert len(warned) == bool(said) and (not said or said in warned[0]), errors


@pytest.fixture
def other(tmp_path):
    """A folder with another image."""
    (tmp_path / 'other/images').mkdir(parents=True)
    Image.new('RGB', (40, 30)).save(tmp_path / 'other/images/other.png')
    return tmp_path / 'other'


@pytest.fixture
def with_val(images, class_names, tmp_path):
    write_dataset(
        Dataset(tuple(class_names), {'train': tuple(images[:4]), 'val': tuple(images[4:])}), tmp_path / 'split', 'yolo'
    )
    return tmp_path / 'split'


def test_options_without_effect(ymir, with_val, coco_folder, fake, trained):
    # command line, exit code, what is said
    for number, (arguments, expected, said) in enumerate(
        (
            (['train', with_val, '--val-share', '0.5', *fake], 0, '--val-share 0.5 is not used, for'),
            (['train', with_val, '--val', coco_folder, *fake], 0, '2 validation images of'),
            (['train', coco_folder, '--val', with_val, '--val-share', '0.5', *fake], 2, 'give one of them'),
            (['train', coco_folder, '--minutes', '5', 'max_minutes=6', *fake], 2, 'say the same thing; give one'),
            (['mine', with_val, '-m', trained, '--ray', 'auto', 'ray_address=auto', *fake], 2, 'say the same thing'),
            (['infer', with_val, '-m', trained, '--ray', 'auto', '--image', 'x'], 2, 'no machine of a cluster'),
            (['convert', with_val, 'new', '--to', 'coco', '--val', '0.5'], 0, '--val 0.5 is not used, for'),
            (['check', '--image', 'x', '--run', '--classes', 'cat'], 2, '--classes names the classes of --model'),
            (['report', trained, '--format', 'coco'], 2, '--format is that of --labels'),
            (['report', trained, '--gpus', '0'], 2, '--gpus is for --evaluate'),
        )
    ):
        options = ['--out', f'run{number}'] if arguments[0] == 'train' else []
        code, _, errors = ymir(*arguments, *options)
        assert code == expected and said in errors, (arguments, errors)


def test_validation_without_boxes_is_told(ymir, coco_folder, fake, other):
    (other / 'labels').mkdir()
    (other / 'labels/other.txt').touch()
    code, _, errors = ymir('train', coco_folder, '--val', other, *fake, '--out', 'run')
    assert code == 0 and 'none of the 1 validation images has a labelled box' in errors


def test_labels_of_other_images(ymir, coco_folder, fake, trained, other):
    assert ymir('infer', coco_folder, '--model', trained, *fake, '--out', 'run', '-q')[0] == 0
    image = LabelledImage(other / 'images/other.png', 40, 30, (LabelledBox(0, 1, 2, 3, 4),))
    write_dataset(Dataset(('crate',), {'all': (image,)}), Path('other-coco'), 'coco')
    code, text, errors = ymir('report', 'run', '--labels', 'other-coco', '--json')
    assert code == 2 and 'is among the images of this inference' in errors and not Path('run/report.html').exists()
    assert ymir('report', 'run', '--labels', coco_folder)[0] == 0
