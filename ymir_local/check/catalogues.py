"""The catalogues that the files of rules fill: for what a task leaves in `out`, for an image, for tasks tried in it."""

from .finding import Catalogue

OUT = Catalogue()
IMAGE = Catalogue()
RUNS = Catalogue()
