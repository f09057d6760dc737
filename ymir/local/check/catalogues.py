"""The two catalogues that the files of rules fill: one for what a task leaves in `out`, one for an image."""
from .finding import Catalogue

OUT = Catalogue()
IMAGE = Catalogue()
