"""Numbers as people read them."""

MINUS = "\N{MINUS SIGN}"


def number(value: float, digits: int) -> str:
    """With thousands separators and a real minus sign."""
    text = f"{value:,.{digits}f}"
    return text.replace("-", MINUS) if float(text.replace(",", "")) else text.lstrip("-")


def signed(value: float, digits: int) -> str:
    """A change: with its sign, unless it rounds to 0."""
    text = number(value, digits)
    return f"+{text}" if value > 0 and text.strip("0.,") else text


def percent(share: float) -> str:
    """A share as whole percent, never broken before its sign."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def duration(seconds: float) -> str:
    """Seconds as `42 s`, `3 min 05 s` or `2 h 07 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if whole else f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"
