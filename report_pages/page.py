"""How a page is made of templates."""

import jinja2

from .charts import number


def make_environment(package: str) -> jinja2.Environment:
    """Return what renders the templates of a package, which may include `page.css` and `page.js`.

    Args:
        package: With a folder `templates`.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader('report_pages')]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(number=number, ratio=_ratio)
    return environment


def _ratio(value: float) -> str:
    """Return three digits; a dash where nothing defines the number."""
    return '–' if value != value else f'{value:.3f}'
