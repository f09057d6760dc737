"""The HTML report of a run: one file that needs neither network nor anything beside it.

It shows what the files of the contract say: curves and stages of a training, accuracy and mistakes of an inference, the
ranking of a mining. The accuracy of a training's model in full comes from an inference of its validation images, whose
run lies in `validation` beside the training's `in` and `out`. English and Chinese both stand in the page.
"""

from .report_page import LANGUAGES, write_report
from .run_files import is_run

__all__ = ['LANGUAGES', 'is_run', 'write_report']
