"""Numbers, durations and foreign texts as people read them in a terminal."""

_UNITS = ("KiB", "MiB", "GiB", "TiB")


def printable(text: str) -> str:
    """A text that somebody else chose, harmless to a terminal: nothing but visible characters."""
    return "".join(c if c.isprintable() else "?" for c in text)


def bytes_of(number: float) -> str:
    """A number of bytes, such as `12.3 MiB`."""
    if number < 1024:
        return f"{number:.0f} B"
    for unit in _UNITS:
        number /= 1024
        if number < 1024 or unit == _UNITS[-1]:
            break
    return f"{number:.1f} {unit}"


def span(seconds: float) -> str:
    """A length of time in its largest unit, such as `3 h`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(max(seconds, 0))} s"
