"""`python -m pie_local` is `pie`."""

from .cli import main

main()
