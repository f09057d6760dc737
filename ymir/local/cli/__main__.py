"""`python -m ymir.local.cli` is `ymir`."""

from . import main

main()
