"""A train.py written from the platform's document alone, whose network learns nothing; FAULT names what it does wrong."""

import json
import os
import shutil
import sys
import time

import numpy as np
from aiUtils import aiUtils
from PIL import Image

fault = os.environ.get('FAULT', '')
if os.path.exists('traincfg.json'):
    with open('traincfg.json', encoding='utf-8') as stream:
        parameters = json.load(stream)
else:
    parameters = json.loads(input())
base = os.path.dirname(os.path.abspath(__file__))
client = aiUtils.s3GetImg(parameters['dataset_id'])
keys = client.getImages('/'.join(client.path.split('/')[3:]) + 'train/images')
print('images', len(keys), len(client.getImgXmlArray(keys[0])))
model = parameters['model_name']
weights = os.path.join(base, 'untrained.th')
if parameters['resume_path']:
    print('resumed', client.downS3Weight(weights, parameters['resume_path'] + model + '.th'))
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
for epoch in range(1, int(parameters['epochs']) + 1):
    values = {'P': 0.5, 'R': 0.25, 'F1_score': 1 / 3, 'mAP': 0.125 * epoch}
    rows = [{'class': name, 'values': values} for name in ['all', *names]]
    log['epochs'].append({'epoch': str(epoch), 'train': rows, 'valid': rows})
    log['best'] = values
    if epoch == int(parameters['epochs']) and fault != 'no_end_time':
        log['end_time'] = time.strftime('%Y-%m-%d %H:%M:%S')
    if fault != 'old_pictures' or epoch == 1:
        Image.fromarray(np.full((32, 32, 3), epoch, np.uint8)).save(os.path.join(output, 'picture/pred.png'))
    shutil.copyfile(weights, os.path.join(output, 'files', model + '.th'))
    if fault == 'half_weights' and epoch == 2:
        os.truncate(os.path.join(output, 'files', model + '.th'), 100)
    text = json.dumps(log, indent=4)
    with open(os.path.join(output, 'trainlog.json'), 'w', encoding='utf-8') as stream:
        stream.write(text[:200] if fault == 'half_log' and epoch == 2 else text)
    if fault == 'crash' and epoch == 2:
        sys.exit('out of memory')
    print('[Process: {}/{}]'.format(epoch, parameters['epochs']), flush=fault != 'unflushed')
    if fault == 'wait':
        time.sleep(60)
    time.sleep(0.03)
