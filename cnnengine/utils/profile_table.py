"""The table of a profile: a line a layer and, for layers of several steps, a line each below it."""

import shutil
import textwrap
from itertools import zip_longest

NARROWEST, WIDEST = 80, 120
_COLUMNS = (("ms", 6), ("%", 5), ("GFLOP/s", 7), ("%peak", 5), ("MB", 5), ("GB/s", 4))


def table(profile, by="step", sort="order", width=None):
    """A profile as text.

    Args:
        profile: a utils.Profile.
        by: "step", or "layer" for one line a layer.
        sort: "order", in which they run, or "time", the longest first.
        width: columns; None: those of the terminal, from 80 to 120.
    """
    width = width or min(max(shutil.get_terminal_size((NARROWEST, 24)).columns, NARROWEST), WIDEST)
    steps = [_line(profile, *line) for line in _lines(profile, by, sort)]
    totals = [_line(profile, "sum of steps", profile.rows), _whole(profile)]
    room = width - sum(size + 1 for _, size in _COLUMNS) - 1
    first = min(max(len(name) for name, _, _ in (*steps, *totals)), room // 2)
    rule = ["─" * width]
    head = _printed(("layer", [name for name, _ in _COLUMNS], "how"), first, room - first)
    body, foot = ([text for line in part for text in _printed(line, first, room - first)] for part in (steps, totals))
    return "\n".join([*textwrap.wrap(_title(profile), width), *rule, *head, *rule, *body, *rule, *foot])


def _title(profile):
    mode = "a training step" if profile.training else "inference"
    shapes = ", ".join("x".join(map(str, shape)) for shape in profile.shapes)
    machine = f"{profile.threads} thread(s), {profile.isa}, peak {profile.peak:.0f} GFLOP/s"
    return f'Model "{profile.model}": {mode} on {shapes}; {machine}'


# --- lines: (name, numbers as text, how) ------------------------------------------------------------------------------


def _lines(profile, by, sort):
    """(name, rows, how) of each line."""
    groups = list(profile.layers().items())
    if sort == "time":
        groups = [(name, sorted(rows, key=_seconds, reverse=True)) for name, rows in groups]
        groups.sort(key=lambda group: sum(map(_seconds, group[1])), reverse=True)
    for name, rows in groups:
        yield name, rows, _how(rows[0]) if len(rows) == 1 else f"{len(rows)} steps"
        if by == "step" and len(rows) > 1:
            yield from ((f"  {row.op}", [row], _details(row)) for row in rows)


def _seconds(row):
    return row.seconds


def _how(row):
    return ": ".join(filter(None, (row.op, _details(row))))


def _details(row):
    """The algorithm, what was fused, and other layers whose work the step does."""
    others = f"with {', '.join(row.layers[1:])}" if row.layers[1:] else ""
    return ", ".join(filter(None, (row.algorithm, *row.fused, others)))


def _line(profile, name, rows, how=""):
    seconds, flops, nbytes = sum(map(_seconds, rows)), sum(row.flops for row in rows), sum(row.nbytes for row in rows)
    gflops = _per(flops / 1e9, seconds)
    rates = [_number(gflops, 3), _percent(gflops, profile.peak)] if flops else ["", ""]
    moved = [_number(nbytes / 1e6, 3), _number(_per(nbytes / 1e9, seconds), 3)]
    return name, [*_time(profile, seconds), *rates, *moved], how


def _whole(profile):
    return "whole program", [*_time(profile, profile.seconds), "", "", "", ""], "steps not timed"


def _time(profile, seconds):
    return [_number(seconds * 1e3, 5), _percent(seconds, sum(map(_seconds, profile.rows)))]


def _per(amount, whole):
    """The quotient; 0 for a step that took no measurable time."""
    return amount / whole if whole else 0.0


def _percent(part, whole):
    return f"{100 * _per(part, whole):.1f}"


def _number(x, digits):
    """A number with so many digits, those before the point included."""
    return f"{x:.{max(digits - len(str(int(x))), 0)}f}"


# --- text -------------------------------------------------------------------------------------------------------------


def _printed(line, first, last):
    """The text of a line: what says how may go on below it."""
    name, numbers, how = line
    cells = [text.rjust(size) for text, (_, size) in zip(numbers, _COLUMNS)]
    parts = textwrap.wrap(how, last) or [""]
    start = " ".join([_shortened(name, first).ljust(first), *cells])
    return [f"{left} {part}".rstrip() for left, part in zip_longest([start], parts, fillvalue=" " * len(start))]


def _shortened(name, size):
    """The name without its beginning where it is too long: paths and operations differ in how they end."""
    return name if len(name) <= size else f"…{name[len(name) - size + 1 :]}"
