"""What takes the place of packages that need a compiler or are not installed: only what configs and mmdet ask of them.

A folder or file bears the name of its package. Where the package is installed, its own classes are taken instead, see
`mmyolo.registry.stand_in`.
"""
