"""SVG files as elements of an HTML page."""

import re
from pathlib import Path

from markupsafe import Markup, escape


def inline_svg(path: Path, *, name: str, description: str) -> Markup:
    """The plot as an <svg> element that scales with its column.

    Every id gets the prefix `name`, because all ids of a page share one space. What only a file needs (declarations,
    namespaces, fixed size, a style sheet that would apply to the whole page) is left out.

    Args:
        name: of the plot, unique on the page, letters and underscores.
        description: read by screen readers instead of the plot.
    """
    text = path.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>|<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'\bhref="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    view_box = re.search(r'viewBox="[^"]+"', text)
    tag = f'<svg class="plot" role="img" aria-label="{escape(description)}" {view_box[0] if view_box else ""}>'
    # the text comes from our own plots: their labels are escaped by matplotlib
    return Markup(re.sub(r"<svg[^>]*>", lambda _: tag, text, count=1).strip())
