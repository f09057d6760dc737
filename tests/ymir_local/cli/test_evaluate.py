"""`ymir report --evaluate`: the model of a training over its validation images."""

import json
from pathlib import Path

import pytest
import yaml

EVALUATED = 'The model on the validation images'


def evaluate(ymir, run, *options):
    return ymir('report', run, '--evaluate', '--gpus', '0', *options)


def test_the_validation_images_are_inferred_once(ymir, trained):
    code, text, errors = evaluate(ymir, trained)
    assert code == 0, errors
    assert 'inference in trained/validation' in text and 'report:' in text
    page = (trained / 'report.html').read_text(encoding='utf-8')
    validation = trained / 'validation'
    (line,), (candidate,) = (
        (folder / 'in' / name).read_text().splitlines()
        for folder, name in ((trained, 'val-index.tsv'), (validation, 'candidate-index.tsv'))
    )
    assert Path(line.split('\t')[0]).name == Path(candidate).name
    owners = dict(row.split('\t') for row in (trained / 'sources.tsv').read_text().splitlines())
    image = Path(owners[Path(candidate).name])
    assert len(owners) == 6 and image.parent.name == 'images' and image.is_file()
    assert EVALUATED in page and f'{image.name}</' in page and Path(candidate).name not in page
    config = yaml.safe_load((validation / 'in/config.yaml').read_text())
    assert config['conf_threshold'] == 0.01 and 'run_infer' in config
    record = yaml.safe_load((validation / 'run.yaml').read_text())
    assert (record['task'], record['ok']) == ('infer', True)
    code, text, _ = evaluate(ymir, trained)
    assert code == 0 and 'have been inferred before' in text
    assert yaml.safe_load((validation / 'run.yaml').read_text()) == record
    assert ymir('check', trained)[0] == ymir('check', validation)[0] == 0


def test_a_failure_is_told_and_tried_again(ymir, trained):
    record = trained / 'run.yaml'
    good = record.read_text()
    record.write_text(yaml.safe_dump(dict(yaml.safe_load(good), executor='false')))
    code, text, errors = evaluate(ymir, trained, '--json')
    assert code == 1 and json.loads(text)['exit_code'] == 1 and 'inference failed' in errors
    assert not (trained / 'report.html').exists()
    record.write_text(good)
    code, _, errors = evaluate(ymir, trained)
    assert code == 0 and EVALUATED in (trained / 'report.html').read_text(encoding='utf-8'), errors


@pytest.mark.parametrize(
    'change, told',
    [
        (lambda run: (run / 'in/val-index.tsv').write_text(''), 'names no image that is there'),
        (lambda run: (run / 'in/val-index.tsv').unlink(), '--evaluate is for trainings'),
        (lambda run: (run / 'out/models/result.yaml').unlink(), 'result.yaml'),
        (lambda run: (run / 'run.yaml').write_text('image: ['), 'run.yaml cannot be read'),
    ],
)
def test_what_cannot_be_evaluated(ymir, trained, change, told):
    change(trained)
    code, text, errors = evaluate(ymir, trained)
    assert code == 2 and told in ' '.join(errors.split()) and 'Traceback' not in errors
    assert not (trained / 'validation').exists()


def test_images_that_are_in_the_training_set_too_are_inferred(ymir, coco_folder, fake):
    """As the platform lists them, and as the training measured itself."""
    assert ymir('train', coco_folder, '--val', coco_folder, *fake, '--out', 'same')[0] == 0
    code, _, errors = evaluate(ymir, 'same')
    assert code == 0, errors
    assert len(Path('same/validation/in/candidate-index.tsv').read_text().splitlines()) == 6
