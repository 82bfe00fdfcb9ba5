"""How numbers are written on the page."""

from pipeline.evaluation.figures import Measure

MINUS = "\N{MINUS SIGN}"
EN_DASH = "\N{EN DASH}"


def number(value: float, style: str = "number") -> str:
    """Write a value in a metric's style, e.g. `0.504`, `63 %`, `4.5`; with a true minus sign."""
    if style == "share":
        text = f"{100 * value:.0f} %"
    elif style == "count":
        text = f"{value:.0f}" if value == round(value) else f"{value:.1f}"
    else:
        text = f"{value:.3f}"
    if text.lstrip("-").strip("0. %") == "":
        text = text.lstrip("-")  # no minus zero
    return text.replace("-", MINUS).replace(" %", "\N{NARROW NO-BREAK SPACE}%")


def difference(value: float, style: str = "number") -> str:
    """Write a difference with its sign; that of two shares is in percentage points."""
    text = number(value, style)
    if value > 0 and text.strip("0.\N{NARROW NO-BREAK SPACE}%"):
        text = f"+{text}"
    return text.replace("%", "points") if style == "share" else text


def interval(measure: Measure, style: str = "number") -> str | None:
    """Write the interval, e.g. `0.48–0.53` or `58–68 %`; None where there is none."""
    if measure.low is None or measure.high is None:
        return None
    low, high = number(measure.low, style), number(measure.high, style)
    unit = "\N{NARROW NO-BREAK SPACE}%"
    if style == "share" and not low.startswith(MINUS):
        low = low.removesuffix(unit)
    between = f" to {high}" if MINUS in low + high else f"{EN_DASH}{high}"
    return low + between
