"""An executor that obeys the contract and computes nothing; hyper-parameters make it misbehave."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import yaml

env = yaml.safe_load(Path(os.environ['DEFAULT_ENV_FILE_PATH']).read_text())
config = yaml.safe_load(Path(env['input']['config_file']).read_text())
models = Path(env['output']['models_dir'])


def progress(percent, state=2, code=0, message=''):
    path = Path(env['output']['monitor_file'])
    new = path.with_name('monitor.new')
    new.write_text(f'{env["task_id"]}\t{time.time():.6f}\t{percent:.2f}\t{state}\t{code}\t{message}\n')
    new.replace(path)


def write_result(stages):
    document = {'best_stage_name': max(stages, key=lambda name: stages[name]['mAP']), 'model_stages': stages}
    (models / 'result.new').write_text(yaml.safe_dump(document))
    (models / 'result.new').replace(models / 'result.yaml')


def write_curves(writer, epoch, epochs):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    values = {'epoch': epoch, 'loss': 2.0 / epoch, 'lr': 0.01, 'coco/bbox_mAP': epoch / epochs / 2}
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
    writer.add_event(Event(wall_time=time.time(), step=epoch, summary=summary))
    writer.flush()


def train():
    epochs, stages, writer = int(config['max_epochs']), {}, None
    if config.get('curves'):
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        writer = EventFileWriter(env['output']['tensorboard_dir'])
    for epoch in range(1, epochs + 1):
        (models / f'epoch_{epoch}.pth').write_bytes(b'weights %d' % epoch)
        stages[f'epoch_{epoch}'] = {
            'stage_name': f'epoch_{epoch}',
            'files': [f'epoch_{epoch}.pth'],
            'timestamp': 1700000000 + epoch,
            'mAP': float(config.get('metric', 0.5)) * epoch / epochs,
        }
        if config.get('check_labels'):
            (models / 'labels-to-check.csv').write_text('')
            stages[f'epoch_{epoch}']['files'].append('labels-to-check.csv')
        write_result(stages)
        progress(epoch / epochs)
        if writer:
            write_curves(writer, epoch, epochs)
        time.sleep(float(config.get('seconds', 0)))


def candidates():
    return Path(env['input']['candidate_index_file']).read_text().splitlines()


def mine():
    lines = [f'{path}\t{1 - rank / 100}\n' for rank, path in enumerate(candidates())]
    Path(env['output']['mining_result_file']).write_text(''.join(lines))
    if int(config.get('near_duplicates', 0)):
        first = [{'path': path, 'uncertainty': 1.0} for path in candidates()]
        summary = {'num_images': len(first), 'near_duplicates': int(config['near_duplicates']), 'first': first}
        (Path(env['output']['root_dir']) / 'mining-summary.json').write_text(json.dumps(summary))


def infer():
    assert all(Path(path).is_file() for path in config['model_params_path'])
    box = {'class_name': config['class_names'][0], 'score': 0.75, 'box': {'x': 1, 'y': 2, 'w': 3, 'h': 4}}
    detection = {os.path.basename(path): {'boxes': [box]} for path in candidates()}
    Path(env['output']['infer_result_file']).write_text(json.dumps({'detection': detection}))


progress(0.0)
print(*(f'line {number}' for number in range(9)), sep='\n', flush=True)
if config.get('child_file'):  # a process that leaves the group, as ranks of a distributed training do
    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)
    Path(config['child_file']).write_text(str(child.pid))
if env['run_training']:
    train()
if env['run_mining']:
    mine()
if env['run_infer']:
    infer()
if config.get('crash_code'):
    progress(0.5, 4, int(config['crash_code']), 'made to crash')
    sys.exit(1)
progress(1.0)
if config.get('broken_monitor'):
    Path(env['output']['monitor_file']).write_text('no columns')
sys.exit(int(config.get('exit_status', 0)))
