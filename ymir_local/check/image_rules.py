"""Rules for an image and its manifest (contract sections a.3, b, b.1 and l.1)."""

import os
from collections.abc import Iterator

from .catalogues import IMAGE
from .finding import ERROR, WARNING, Hit, NotApplicable
from .image import FOLDERS, MANIFEST, START_SCRIPT, Image
from .reading import clip, short

INTERPRETERS = ('bash', 'sh', 'dash', 'zsh', 'python', 'python2', 'python3', 'ipython', 'node', 'R')


@IMAGE.rule(
    'image/engine',
    'b',
    ERROR,
    en=(
        'A Docker engine answers on this machine; nothing of an image can be checked without one.',
        'Install and start Docker, and make sure that "docker info" works for this user.',
    ),
    zh=(
        '本机有可用的 Docker 引擎；没有它，无法检查镜像。',
        '请安装并启动 Docker，并确认当前用户可以运行 “docker info”。',
    ),
)
def engine(image: Image) -> Iterator[Hit]:
    if image.engine_problem:
        yield Hit('docker', clip(image.engine_problem))


@IMAGE.rule(
    'image/present',
    'b',
    ERROR,
    en=(
        'The image is on this machine or can be pulled; otherwise the platform shows 130401.',
        'Build it, or correct its name or tag, or log in to its registry.',
    ),
    zh=('镜像在本机上或可以拉取；否则平台显示 130401。', '请构建镜像、更正名称或标签，或登录其仓库。'),
)
def present(image: Image) -> Iterator[Hit]:
    if image.absence:
        yield Hit(image.name, clip(image.absence))


@IMAGE.rule(
    'image/cat',
    'b',
    ERROR,
    en=(
        '"docker run --rm IMAGE cat FILE" works; the platform reads /img-man with it.',
        'Build on an image with the usual programs (cat, bash).',
    ),
    zh=(
        '“docker run --rm 镜像 cat 文件” 可以运行；平台以此读取 /img-man。',
        '请基于带有常用程序（cat、bash）的镜像构建。',
    ),
)
def cat(image: Image) -> Iterator[Hit]:
    if image.settings.get('Entrypoint') and any(image.entry_point_problem):
        raise NotApplicable
    if image.cat_problem:
        yield Hit(MANIFEST, clip(image.cat_problem))


@IMAGE.rule(
    'image/entry-point',
    'a.3, b',
    ERROR,
    en=(
        'An ENTRYPOINT runs its arguments and prints nothing of its own; with a banner or another program the '
        'platform cannot read /img-man.',
        'Write "ENTRYPOINT []" in the Dockerfile, or end the script with exec "$@" and let it print nothing.',
    ),
    zh=(
        'ENTRYPOINT 必须执行其参数，且自身不打印任何内容；否则平台无法读取 /img-man。',
        '请在 Dockerfile 中写 “ENTRYPOINT []”，或让脚本以 exec "$@" 结束且不打印。',
    ),
)
def entry_point(image: Image) -> Iterator[Hit]:
    printed, held = image.entry_point_problem
    if printed or held:
        yield Hit(
            MANIFEST, (f'{short(printed)} instead of {short(held)}', f'得到 {short(printed)}，应为 {short(held)}')
        )


@IMAGE.rule(
    'image/command',
    'a.3',
    ERROR,
    en=(
        'CMD starts the task: the platform passes no command.',
        'Write "CMD bash /usr/bin/start.sh" in the Dockerfile.',
    ),
    zh=('CMD 负责启动任务：平台不传入命令。', '请在 Dockerfile 中写 “CMD bash /usr/bin/start.sh”。'),
)
def command(image: Image) -> Iterator[Hit]:
    settings = image.settings
    words = list(settings.get('Cmd') or [])
    alone = words[2].split() if words[:2] == ['/bin/sh', '-c'] and len(words) == 3 else words
    if not words and not settings.get('Entrypoint'):
        yield Hit('CMD', ('none', '没有'))
    elif len(alone) == 1 and os.path.basename(alone[0]) in INTERPRETERS and not settings.get('Entrypoint'):
        yield Hit('CMD', short(words))


@IMAGE.rule(
    'image/start-script',
    'a.3, l',
    WARNING,
    en=(
        '/usr/bin/start.sh exists; the official verifier starts "bash /usr/bin/start.sh", whatever CMD says.',
        'Put the start into that script and let CMD run it.',
    ),
    zh=(
        '存在 /usr/bin/start.sh；官方检查工具总是运行 “bash /usr/bin/start.sh”，不看 CMD。',
        '请把启动命令写入该脚本，并由 CMD 运行它。',
    ),
)
def start_script(image: Image) -> Iterator[Hit]:
    image.need_cat()
    answer = image.cat(START_SCRIPT)
    if answer.exit_code != 0:
        yield Hit(START_SCRIPT, clip(answer.stderr))


@IMAGE.rule(
    'image/manifest',
    'b.1',
    WARNING,
    en=(
        '/img-man/manifest.yaml is there and a YAML mapping; without it the image counts as one for detection.',
        'Write "object_type: 2" (3 semantic, 4 instance segmentation) into it.',
    ),
    zh=(
        '存在 /img-man/manifest.yaml，且为 YAML 映射；否则镜像被当作检测镜像。',
        '请在其中写 “object_type: 2”（3 语义分割，4 实例分割）。',
    ),
)
def manifest(image: Image) -> Iterator[Hit]:
    document = image.manifest
    if document.problem:
        yield Hit(MANIFEST, document.detail)
    elif not isinstance(document.value, dict):
        yield Hit(MANIFEST, short(document.value))


@IMAGE.rule(
    'image/object-type',
    'b.1',
    ERROR,
    en=(
        'object_type is an integer, or a list of 2, 3, 4 and 50; anything else is refused (130401, 130605).',
        'Write "object_type: 2", or "[2, 3]" with templates in /img-man/det and /img-man/semantic-seg.',
    ),
    zh=(
        'object_type 是整数，或由 2、3、4、50 组成的列表；其他值会被拒绝（130401、130605）。',
        '请写 “object_type: 2”，或写 “[2, 3]” 并把模板放到 /img-man/det 和 /img-man/semantic-seg。',
    ),
)
def object_type(image: Image) -> Iterator[Hit]:
    kind = image.object_type
    if isinstance(kind, list) and kind:
        for index, member in enumerate(kind):
            if not isinstance(member, int) or member not in FOLDERS:
                yield Hit(image.manifest.place('object_type', index), short(member))
    elif not isinstance(kind, int):
        yield Hit(image.manifest.place('object_type'), short(kind))


@IMAGE.rule(
    'image/object-type-known',
    'b.1',
    WARNING,
    en=(
        'object_type is 2, 3, 4 or 50; the platform takes other numbers without a word and then offers the '
        'image for no project.',
        'Write 2 for detection, 3 for semantic, 4 for instance segmentation.',
    ),
    zh=(
        'object_type 是 2、3、4 或 50；平台会不加提示地接受其他数字，但该镜像不能用于任何项目。',
        '检测写 2，语义分割写 3，实例分割写 4。',
    ),
)
def object_type_known(image: Image) -> Iterator[Hit]:
    kind = image.object_type
    if not isinstance(kind, int):
        raise NotApplicable
    if kind not in FOLDERS or isinstance(kind, bool):
        yield Hit(image.manifest.place('object_type'), short(kind))


@IMAGE.rule(
    'image/flags',
    'b.1',
    WARNING,
    en=(
        'enable_livecode and is_official are true or false; any text, "false" too, counts as true.',
        'Write true or false without quotes.',
    ),
    zh=(
        'enable_livecode 和 is_official 是 true 或 false；任何文字（包括 "false"）都算作 true。',
        '请写不带引号的 true 或 false。',
    ),
)
def flags(image: Image) -> Iterator[Hit]:
    values = image.manifest.value if isinstance(image.manifest.value, dict) else {}
    for key in ('enable_livecode', 'is_official'):
        if key in values and not isinstance(values[key], bool):
            yield Hit(image.manifest.place(key), short(values[key]))


@IMAGE.rule(
    'image/templates',
    'b.2, l.1',
    ERROR,
    en=(
        'At least one of training-template.yaml, mining-template.yaml and infer-template.yaml is there; '
        'without any the image is refused (130401).',
        'Put a template for each task that the image can do into /img-man, or into its sub-folder if '
        'object_type is a list; let everybody read them.',
    ),
    zh=(
        'training-template.yaml、mining-template.yaml、infer-template.yaml 至少存在一个；否则镜像被拒绝（130401）。',
        '请为镜像支持的每种任务在 /img-man（object_type 为列表时在其子目录）放置模板，并允许所有用户读取。',
    ),
)
def templates(image: Image) -> Iterator[Hit]:
    absent = [template.document for template in image.templates if not template.document.present]
    if len(absent) == len(image.templates):
        names = ', '.join(document.name for document in absent[:3])
        yield Hit(names or '/img-man', absent[0].detail if absent else '[]')
