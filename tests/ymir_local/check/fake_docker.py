"""Stands in for `docker`: an image is a folder with `config.json` (Config) and `files`, a container is a process.

    FAKE_IMAGES    folder with one folder per image; no such folder: no engine answers
    FAKE_LOG       every command line is appended to it as JSON

A task runs files/usr/bin/start.sh with IN and OUT in the place of /in and /out; the user is not changed.
"""

import json
import os
import sys

arguments = sys.argv[1:]
with open(os.environ['FAKE_LOG'], 'a') as log:
    log.write(json.dumps(arguments) + '\n')
images = os.environ['FAKE_IMAGES']
if not os.path.isdir(images):
    sys.exit('Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?')


def folder_of(name: str) -> str:
    folder = os.path.join(images, ''.join(letter if letter.isalnum() else '_' for letter in name))
    if not os.path.isdir(folder):
        sys.exit(f'Error: No such image: {name}')
    return folder


def config_of(folder: str) -> dict:
    with open(f'{folder}/config.json') as file:
        return json.load(file)


if arguments[:2] == ['image', 'inspect']:
    print(json.dumps([{'Config': config_of(folder_of(arguments[2]))}]))
elif arguments[0] == 'pull':
    sys.exit(f'Error response from daemon: pull access denied for {arguments[1]}')
elif arguments[0] == 'images':
    print('f6600ec291a2' if folder_of(arguments[1]) else '')
elif arguments[0] == 'run' and 'cat' in arguments:
    name = arguments[-2] if '--entrypoint' in arguments else arguments[-3]
    config = config_of(folder_of(name))
    if config.get('NoCat'):
        print('exec: "cat": executable file not found in $PATH: unknown.', file=sys.stderr)
        sys.exit(127)
    if config.get('Entrypoint') and '--entrypoint' not in arguments:
        print(config.get('Banner', 'welcome'))
        if not config.get('Passes'):
            sys.exit()
    path = f'{folder_of(name)}/files{arguments[-1]}'
    if not os.path.isfile(path):
        print(f'cat: {arguments[-1]}: No such file or directory', file=sys.stderr)
        sys.exit(1)
    sys.stdout.flush()
    with open(path, 'rb') as file:
        sys.stdout.buffer.write(file.read())
elif arguments[0] == 'run':
    mounts = dict(reversed(word[2:].removesuffix(':ro').split(':')) for word in arguments if word.startswith('-v'))
    script = f'{folder_of(arguments[-1])}/files/usr/bin/start.sh'
    os.execve('/bin/bash', ['bash', script], dict(os.environ, IN=mounts['/in'], OUT=mounts['/out']))
elif arguments[0] != 'rm':
    sys.exit(f'the fake knows no {arguments}')
