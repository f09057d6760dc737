"""What an error code means and what helps (contract section h)."""
from typing import List, NamedTuple, Optional

from ..run import STATE_ERROR
from .run_files import RunFiles
from .text import Text

MEANINGS = {
    300001:
    Text('A setting is missing or wrong. Correct the parameter that the message names.', '参数缺失或错误。请修改消息中指出的参数。'),
    300002:
    Text('The data set is empty or malformed. Correct the files that the message names.', '数据集为空或格式错误。请修改消息中指出的文件。'),
    300003:
    Text('An image cannot be read. Replace or remove it.', '图像无法读取。请替换或删除该图像。'),
    300004:
    Text('The weights are missing or cannot be loaded. Choose a model that was trained with this image.',
         '权重缺失或无法加载。请选择用此镜像训练的模型。'),
    300005:
    Text('This kind of object is not supported by the image.', '镜像不支持该目标类型。'),
    300101:
    Text('The GPU or its driver failed. Check the driver version and the health of the machine.',
         'GPU 或驱动出错。请检查驱动版本和机器状态。'),
    300102:
    Text('A GPU is needed and none is visible. Start the run with GPUs, or with gpu_count 0.',
         '需要 GPU 但不可见。请为任务分配 GPU，或设置 gpu_count 为 0。'),
    300103:
    Text('Out of memory. Lower samples_per_gpu or img_size, or take a smaller model.',
         '内存或显存不足。请减小 samples_per_gpu 或 img_size，或选择更小的模型。'),
    300201:
    Text('The loss is not a number. Lower learning_rate, or set precision to fp32.',
         '损失为 NaN。请降低 learning_rate，或将 precision 设为 fp32。'),
    300301:
    Text('A download failed. Runs have no network; put the file into the image.', '下载失败。任务没有网络，请将文件放入镜像。'),
    160004:
    Text('The executor ended with an error of no known kind. The log says more.', '执行器以未知错误结束，详见日志。'),
}
UNKNOWN = Text('This code is in no list; the log says more.', '未知错误码，详见日志。')
LOG_LINES = 40
PLATFORM_LINES = 5


class Failure(NamedTuple):
    """Why a run failed.

    Args:
        code: column 5 of monitor.txt.
        meaning: of the code.
        message: the sentence of the executor.
        shown: the last lines of the log, which the platform shows.
        log: more of the log's end.
        trace: of monitor.txt.
    """
    code: int
    meaning: Text
    message: str
    shown: List[str]
    log: List[str]
    trace: List[str]


def failure_of(run: RunFiles) -> Optional[Failure]:
    """Gives why a run failed, None if monitor.txt says no error."""
    if run.progress is None or not (run.progress.state == STATE_ERROR or run.progress.code):
        return None
    code = run.progress.code
    return Failure(code, MEANINGS.get(code, UNKNOWN), run.progress.message, run.log[-PLATFORM_LINES:],
                   run.log[-LOG_LINES:], list(run.trace))
