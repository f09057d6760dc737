"""`python -m ymir_local.cli` is `ymir`."""

from . import main

main()
