"""A family of models from outside, as small as one can be: TMI_FAMILIES=tests.tiny_family.family:GridFamily."""
