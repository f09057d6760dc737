"""The version of the package, which follows the public mmyolo release that it is compatible with."""

__version__ = '0.6.0'
short_version = __version__


def parse_version_info(version_str: str) -> tuple:
    """Split a version into numbers and release-candidate tags.

    Args:
        version_str: for example '1.3.0' or '2.0.0rc4'.

    Returns:
        For example (1, 3, 0) or (2, 0, 0, 'rc4').
    """
    parts = []
    for part in version_str.split('.'):
        number, tag, rest = part.partition('rc')
        parts.append(int(number))
        if tag:
            parts.append(tag + rest)
    return tuple(parts)


version_info = parse_version_info(__version__)
