"""The contract of the YMIR platform as a library: read /in, write /out. Imports no torch; usable in any executor.

The submodules are the interface: ``from ymir_exc import env, monitor, result_writer, util, ...``.
"""

from __future__ import annotations

__version__ = '2.2.0'
