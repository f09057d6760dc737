"""Numbers of a running task: from event files to a line, and the time to go."""

import io
import time

import pytest
from rich.console import Console

from ymir_exc.reading import MonitorLine
from ymir_local.platform import live_view as module
from ymir_local.platform.event_scalars import EventScalars, recognise
from ymir_local.platform.live_view import Watch, duration, live_view, numbers_line
from ymir_local.platform.progress_bar import progress_bar


@pytest.fixture
def writer(tmp_path):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    events = EventFileWriter(str(tmp_path / 'tensorboard/run'))

    def write(step, **values):
        summary = Summary(
            value=[Summary.Value(tag=tag.replace('__', '/'), simple_value=value) for tag, value in values.items()]
        )
        events.add_event(Event(wall_time=1.0, step=step, summary=summary))
        events.flush()

    yield write
    events.close()


def test_event_files_are_read_as_they_grow(tmp_path, writer):
    scalars = EventScalars(tmp_path / 'tensorboard')
    assert scalars.last() == {}
    writer(1, loss=2.0, lr=0.01)
    scalars.update()
    assert scalars.last() == pytest.approx({'loss': 2.0, 'lr': 0.01})
    writer(2, loss=1.5, coco__bbox_mAP=0.25, coco__bbox_mAP_50=0.5)
    writer(3, coco__bbox_mAP=0.125)
    scalars.update()
    assert scalars.last() == pytest.approx({'loss': 1.5, 'lr': 0.01, 'mAP': 0.125})
    assert scalars.series['coco/bbox_mAP'] == [(2, 0.25), (3, 0.125)]


@pytest.mark.parametrize(
    'tags, name',
    [
        (('coco/bbox_mAP', 'coco/segm_mAP', 'coco/segm_mAP_50'), 'maskAP'),
        (('coco/bbox_mAP', 'coco/bbox_mAP_50'), 'mAP'),
        (('val/segm_mAP_0.5:0.95',), 'maskAP'),
        (('metrics/mAP_50-95',), 'mAP'),
        (('val/AP50',), 'mAP_50'),
        (('coco/bbox_mAP_50',), 'mAP_50'),
    ],
)
def test_the_accuracy_is_called_what_it_is(tmp_path, writer, tags, name):
    writer(1, lr=0.5, **{tag.replace('/', '__'): 0.25 for tag in tags})
    scalars = EventScalars(tmp_path / 'tensorboard')
    scalars.update()
    assert numbers_line(scalars.last()) == f'{name} 0.250  lr 0.5'


def test_what_is_no_event_file_does_no_harm(tmp_path):
    (tmp_path / 'executor.log').symlink_to(tmp_path / 'nowhere')
    (tmp_path / 'events.out.tfevents.1').write_bytes(b'rubbish' * 20)
    scalars = EventScalars(tmp_path)
    scalars.update()
    scalars.update()
    assert scalars.last() == {}
    EventScalars(tmp_path / 'nowhere').update()


@pytest.mark.parametrize(
    'tags, expected',
    [
        (
            ['loss', 'loss_cls', 'lr', 'base_lr', 'coco/bbox_mAP', 'coco/bbox_mAP_50'],
            {'loss': 'loss', 'lr': 'lr', 'mAP': 'coco/bbox_mAP'},
        ),
        (
            ['train/box_loss', 'train/loss', 'x/lr0', 'metrics/mAP_0.5:0.95'],
            {'loss': 'train/loss', 'mAP': 'metrics/mAP_0.5:0.95'},
        ),
        (['val/AP50', 'epoch'], {'mAP': 'val/AP50', 'epoch': 'epoch'}),
        ([], {}),
    ],
)
def test_tags_of_several_executors(tags, expected):
    assert recognise(tags) == expected


def test_the_line_of_numbers():
    assert (
        numbers_line({'epoch': 3, 'loss': 1.23456, 'mAP': 0.4567, 'lr': 0.01}, 10)
        == 'epoch 3/10  loss 1.235  mAP 0.457  lr 0.01'
    )
    assert numbers_line({}) == ''


@pytest.mark.parametrize('seconds, expected', [(0, '0:00'), (59.6, '1:00'), (3661, '1:01:01')])
def test_duration(seconds, expected):
    assert duration(seconds) == expected


def test_time_to_go_does_not_count_the_start(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(module.time, 'monotonic', lambda: clock[0])
    watch = Watch()
    for seconds, percent, expected in ((0, 0.0, None), (60, 0.1, 540), (70, 0.2, 80), (90, 0.4, 60), (150, 1.0, None)):
        clock[0] = 100.0 + seconds
        watch.take(MonitorLine('t', 1.0, percent, 2))
        assert watch.remaining == (None if expected is None else pytest.approx(expected)), seconds
    watch.take(MonitorLine('t', 1.0, float('nan'), 2))
    assert watch.percent == 0


def test_lines_where_there_is_no_terminal():
    console = Console(file=io.StringIO(), width=80)
    with live_view(console, 'training', Watch()) as show:
        for percent in (0, 0.05, 0.1, 0.35, 0.36, 1.0):
            show(MonitorLine('t', 1.0, percent, 2))
            time.sleep(0.01)
    assert [line.split()[1] for line in console.file.getvalue().splitlines()] == ['0%', '10%', '35%', '100%']


def test_quiet_shows_nothing():
    console = Console(file=io.StringIO(), force_terminal=True)
    with live_view(console, 'training', Watch(), quiet=True) as show:
        show(MonitorLine('t', 1.0, 0.5, 2))
    assert console.file.getvalue() == ''


def test_a_bar_on_a_terminal_that_is_closed_after_an_error():
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with pytest.raises(KeyboardInterrupt):
        with live_view(console, 'training', Watch()) as show:
            show(MonitorLine('t', 1.0, 0.5, 2))
            raise KeyboardInterrupt
    text = console.file.getvalue()
    assert '50%' in text and text.rindex('\x1b[?25h') > text.rindex('\x1b[?25l')


@pytest.mark.parametrize('terminal', [False, True])
def test_brackets_in_the_name_of_a_folder_are_letters(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80)
    with progress_bar(console, 'reading coco [/2017] [red]') as show:
        show(1.0)
    assert 'reading coco [/2017] [red]' in console.file.getvalue()
