"""What may stand in the log of a task that went well, which the platform shows as it is."""

import re

SHAPES = [
    re.compile(shape)
    for shape in (
        r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING) \S.*',  # of the executor
        r'\d\d/\d\d \d\d:\d\d:\d\d - mmengine - (INFO|WARNING) - \S.*',
        r'(Data|Recipe) *',
        r'[+|][-+]*.*[+|]',  # a line of a table
    )
]
# Advice that no user of the platform can follow, and what libraries say about themselves.
USELESS = re.compile(
    r'pip install|not found|OneDL|deprecat|FutureWarning|UserWarning|Exp name|Hooks will be|System environment|'
    r'loading annotations|creating index|site-packages',
    re.IGNORECASE,
)


def noise(log):
    """Return the lines of a log without level and time, of no use to the user, or printed twice."""
    lines = log.splitlines()
    warnings = [line.split(' WARNING ')[1] for line in lines if ' WARNING ' in line]
    return [line for line in lines if USELESS.search(line) or not any(shape.fullmatch(line) for shape in SHAPES)] + [
        line for line in set(warnings) if warnings.count(line) > 1 and 'skipped' not in line
    ]
