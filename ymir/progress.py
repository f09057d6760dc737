"""Progress of a training in monitor.txt (contract section f)."""

from ymir_exc.monitor import write_monitor_logger
from ymir_exc.progress import YmirStage, YmirStageWeight


def write_progress(stage: YmirStage, share: float) -> None:
    """Write the progress of a training.

    Args:
        stage: Preparation, training, or what follows it.
        share: Progress within the stage, 0 to 1.
    """
    write_monitor_logger(YmirStageWeight().get_stage_process(stage, share))
