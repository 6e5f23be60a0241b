"""The template engine of the page: everything is escaped, and an unknown name is an error."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.report.formats import number, percent
from pipeline.report.page_samples import printable
from pipeline.report.palette import policy_label

FOLDER = Path(__file__).parent


def template_environment() -> Environment:
    """Templates of this folder, with filters for numbers and texts."""
    loader = FileSystemLoader(FOLDER)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(number=number, percent=percent, label=policy_label, printable=printable)
    return environment
