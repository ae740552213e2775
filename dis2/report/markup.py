"""Templates to text: everything that is put into one is escaped."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape


def breakable(name: str) -> Markup:
    """A combination that may break after each sensor."""
    return Markup("+<wbr>").join(escape(part) for part in name.split("+"))


def environment() -> Environment:
    """The report's templates."""
    made = Environment(
        loader=PackageLoader("dis2.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters["breakable"] = breakable
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    return made


def render(template: str, **values: Any) -> Markup:
    """A template of the report with its values."""
    return Markup(environment().get_template(template).render(values))
