"""Rules for how the container behaved, seen from outside (contract sections a.2, a.3, a.6)."""

from collections.abc import Iterator

from ymir_exc.reading.monitor import STATE_DONE

from ..platform.in_changes import ADDED, CHANGED, REMOVED
from ..platform.run import log_tail
from .catalogues import OUT
from .facts import Run
from .finding import ERROR, WARNING, Hit, NotApplicable
from .reading import clip

LOG = 'ymir-executor-out.log'
CHANGES = {
    ADDED: ('it was added', '被新增'),
    REMOVED: ('it was removed', '被删除'),
    CHANGED: ('it was changed', '被修改'),
}


@OUT.rule(
    'container/out-folder',
    'a.2',
    ERROR,
    en=(
        'out is a folder, and models in it too.',
        'Give the folder that the container saw as /out; leave the folder models in it.',
    ),
    zh=('out 是目录，其中的 models 也是目录。', '请给出容器内 /out 对应的目录，并保留其中的 models 目录。'),
)
def out_folder(run: Run) -> Iterator[Hit]:
    if not run.out_dir.is_dir():
        yield Hit(str(run.out_dir), ('no such folder', '没有该目录'))
    elif (run.models_dir.exists() or run.models_dir.is_symlink()) and not run.models_dir.is_dir():
        yield Hit('models', ('it is no folder', '不是目录'))


@OUT.rule(
    'container/task-known',
    'a.4',
    ERROR,
    en=(
        'in/env.yaml says what the task was, or its results do.',
        'Give the folder in, or name the task (training, mining, infer); if the task should have written '
        'results, it wrote none.',
    ),
    zh=(
        'in/env.yaml 或结果文件能说明任务类型。',
        '请给出 in 目录，或指明任务（training、mining、infer）；如果任务本应写出结果，则它没有写出任何结果。',
    ),
)
def task_known(run: Run) -> Iterator[Hit]:
    if not run.out_dir.is_dir() or run.ended_early or run.state == STATE_DONE:
        raise NotApplicable  # where the platform has written that it is done, it has taken the results away
    if not run.tasks:
        yield Hit(
            'out',
            (
                'neither result.yaml nor infer-result.json nor result.tsv',
                '没有 result.yaml、infer-result.json 或 result.tsv',
            ),
        )


def _last_words(run: Run) -> list[str]:
    """Return what of the last five lines of the log is not blank."""
    log = run.out_dir / LOG
    try:
        return [line.strip() for line in log_tail(log) if line.strip()] if log.is_file() else []
    except OSError:
        return []


@OUT.rule(
    'container/exit-code',
    'a.6, l.2',
    ERROR,
    en=(
        'The container ends with exit code 0 when the task succeeded.',
        'Read the end of ymir-executor-out.log; run it as an unknown user without network to see the same.',
    ),
    zh=('任务成功时容器的退出码为 0。', '请查看 ymir-executor-out.log 的末尾；用未知用户、断网运行可以重现。'),
)
def exit_code(run: Run) -> Iterator[Hit]:
    if run.exit_code is None:
        raise NotApplicable
    if run.exit_code:
        tail = clip(' | '.join(_last_words(run)))
        yield Hit(
            LOG,
            (
                f'exit code {run.exit_code}; the log {"ends with: " + tail if tail else "says nothing"}',
                f'退出码 {run.exit_code}；{"日志末尾：" + tail if tail else "日志没有内容"}',
            ),
        )


@OUT.rule(
    'container/no-error-state',
    'a.6',
    ERROR,
    en=(
        'The last state in monitor.txt is not 4: state 4 fails the task at once, even if the exit code is 0.',
        'Mend what the message says; "ymir explain CODE" tells more.',
    ),
    zh=(
        'monitor.txt 中最后的状态不是 4：状态 4 会立即使任务失败，即使退出码为 0。',
        '请按消息修复；“ymir explain CODE” 给出更多说明。',
    ),
)
def no_error_state(run: Run) -> Iterator[Hit]:
    columns = run.monitor_columns
    if run.reports_error:
        code, message = (columns[4:5] or ['0'])[0], (columns[5:6] or [''])[0]
        yield Hit('monitor.txt:1', (f'code {code}: {clip(message)}', f'返回码 {code}：{clip(message)}'))


@OUT.rule(
    'container/log-says-why',
    'a.6',
    WARNING,
    en=(
        'When a task fails, the last five lines of ymir-executor-out.log say why; the platform shows them.',
        'Print one plain sentence with the reason as the last thing before the process ends.',
    ),
    zh=(
        '任务失败时，ymir-executor-out.log 的最后五行应说明原因；平台会显示它们。',
        '请在进程结束前最后打印一句说明原因的话。',
    ),
)
def log_says_why(run: Run) -> Iterator[Hit]:
    if not run.failed or not (run.out_dir / LOG).is_file():
        raise NotApplicable
    if not _last_words(run):
        yield Hit(LOG, ('no text in the last five lines', '最后五行没有文字'))


@OUT.rule(
    'container/in-unchanged',
    'a.3',
    ERROR,
    en=(
        'Nothing below in has changed; in/assets leads to the image cache that all tasks of the user share and '
        'that is not read-only.',
        'Open images and labels for reading only; write caches, conversions and mended files to /out or /tmp.',
    ),
    zh=(
        'in 之下没有任何改动；in/assets 指向该用户所有任务共享、且并非只读的图像缓存。',
        '请只以读方式打开图像和标注；缓存、转换结果和修复后的文件写到 /out 或 /tmp。',
    ),
)
def in_unchanged(run: Run) -> Iterator[Hit]:
    if run.in_changes is None:
        raise NotApplicable
    for name, change in run.in_changes.items():
        yield Hit(f'in/{name}', CHANGES.get(change, change))
