"""A train.py written from the document of the platform alone; it learns nothing, and FAULT names what it does wrong."""

import json
import os
import shutil
import subprocess
import sys
import time

fault = os.environ.get('FAULT', '')
if os.path.exists('traincfg.json'):
    with open('traincfg.json', encoding='utf-8') as stream:
        parameters = json.load(stream)
else:
    parameters = json.loads(input())
base = os.path.dirname(os.path.abspath(__file__))
model = parameters['model_name']
weights = os.path.join(base, 'untrained.th')
if not fault:
    from aiUtils import aiUtils

    client = aiUtils.s3GetImg(parameters['dataset_id'] or None)
    keys = client.getImages('/'.join(client.path.split('/')[3:]) + 'train/images')
    print('images', len(keys), len(client.getImgXmlArray(keys[0])))
    if parameters['resume_path']:
        key = '/'.join(parameters['resume_path'].split('/')[3:]) + model + '.th'
        print('resumed', client.downS3Weight(weights, key))
names = [entry['class_name'] for entry in json.loads(parameters['label'])]
output = os.path.join(base, 'output')
for folder in ('files', 'picture'):
    os.makedirs(os.path.join(output, folder), exist_ok=True)
log = {
    'training_id': parameters['training_id'],
    'create_time': time.strftime('%Y-%m-%d %H:%M:%S'),
    'description': {'P': '精确度', 'R': '召回率', 'F1_score': 'F1分数', 'mAP': 'mAP'},
    'epochs': [],
    'best': '',
    'end_time': '',
}
epochs = int(parameters['epochs'])
for epoch in range(1, epochs + 1):
    values = {'P': 0.5, 'R': 0.25, 'F1_score': 1 / 3, 'mAP': epoch / epochs}
    rows = [{'class': name, 'values': values} for name in ['all', *names]]
    log['epochs'].append({'epoch': str(epoch), 'train': rows, 'valid': rows})
    log['best'] = values
    if epoch == epochs and fault != 'files':
        log['end_time'] = time.strftime('%Y-%m-%d %H:%M:%S')
    if fault != 'files' or epoch == 1:  # else the picture of epoch 1 stays
        shutil.copyfile(os.path.join(base, 'pred.png'), os.path.join(output, 'picture/pred.png'))
    shutil.copyfile(weights, os.path.join(output, 'files', model + '.th'))
    if fault == 'files' and epoch == 2:
        os.truncate(os.path.join(output, 'files', model + '.th'), 100)
    text = json.dumps(log, indent=4)
    with open(os.path.join(output, 'trainlog.json'), 'w', encoding='utf-8') as stream:
        stream.write(text[:200] if fault == 'files' and epoch == 3 else text)
    if fault == 'crash' and epoch == 2:
        sys.exit('out of memory')
    print('[Process: {}/{}]'.format(epoch, epochs + (fault == 'files' and epoch == 4)), flush=fault != 'unflushed')
    if fault == 'stop' and epoch == 2:
        break
    if fault == 'child':  # in a session of its own, as a training process may be
        print('child', subprocess.Popen(['sleep', '600'], start_new_session=True).pid, flush=True)
    time.sleep(60 if fault in ('wait', 'child') else 0.03)
