"""Parts of graphs for deployment; they need no mmdeploy."""

from . import dense_heads, layers

__all__ = ['dense_heads', 'layers']
