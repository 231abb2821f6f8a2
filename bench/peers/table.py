"""Markdown tables of a run: ours beside the best peer, and all peers."""

from math import exp, log
from textwrap import fill

from bench.peers.networks import NETWORKS
from bench.peers.registry import OURS

HEAD = ["network", "task", "ms", "best peer", "ratio", "MB", "least", "ratio", "first s", "least", "ratio"]
WIDTH = 110
TASKS = {"predict": "batch", "train": "train"}
KEYS = {"min": ("ms", 1e3), "memory": ("MB", 1e-6), "first": ("first s", 1)}


def best_peer(job, key):
    """The peer with the least of "min", "memory" or "first", and its value; None where there is no peer."""
    values = {name: entry[key] for name, entry in job["peers"].items() if name != OURS}
    return min(values.items(), key=lambda item: item[1]) if values else None


def ratio(job, key):
    """Ours in parts of the best peer's; None where one of them is missing."""
    best = best_peer(job, key)
    return job["peers"][OURS][key] / best[1] if best and OURS in job["peers"] else None


def geometric_mean(values):
    return exp(sum(map(log, values)) / len(values))


def markdown(rows):
    """Lines of a table, in columns of one width so that it reads well in a terminal too; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    left = [i < 2 or head == "best peer" for i, head in enumerate(rows[0])]
    cells = [[x.ljust(w) if l else x.rjust(w) for x, w, l in zip(row, widths, left)] for row in rows]
    rule = ["-" * w if l else "-" * (w - 1) + ":" for w, l in zip(widths, left)]
    return [f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:])]


def comparison(jobs):
    """The table of ratios; what is least of memory and of the time to a first result may be another peer's."""
    return markdown([HEAD, *map(_row, jobs)])


def _row(job):
    row = [NETWORKS[job["network"]].title, f"{TASKS[job['task']]} {job['batch']}"]
    for key, (_, scale) in KEYS.items():
        best = best_peer(job, key)
        text = number(best[1] * scale) if best else ""
        row.append(number(job["peers"][OURS][key] * scale) if OURS in job["peers"] else "")
        row += [f"{text} {best[0]}" if best and key == "min" else text, _ratio_text(ratio(job, key))]
    return row


def _ratio_text(value):
    return "" if value is None else f"{value:.2f}"


def means(jobs):
    """One line a group of rows: geometric means of their ratios."""
    groups = {
        "batch 1": [job for job in jobs if job["task"] == "predict" and job["batch"] == 1],
        "larger batches": [job for job in jobs if job["task"] == "predict" and job["batch"] > 1],
        "training": [job for job in jobs if job["task"] == "train"],
    }
    for title, group in groups.items():
        ratios = {key: [r for job in group if (r := ratio(job, key)) is not None] for key in KEYS}
        if ratios["min"]:
            time, memory, first = (f"{geometric_mean(ratios[key]):.2f}" for key in KEYS)
            yield f"Geometric mean, {title}: time {time}, memory {memory}, first result {first}"


def details(jobs, key):
    """One row a job, one column a peer: "min", "memory" or "first" of each."""
    names = list(dict.fromkeys(name for job in jobs for name in job["peers"]))
    unit, scale = KEYS[key]
    rows = [["network", unit, *names]]
    for job in jobs:
        values = [job["peers"].get(name) for name in names]
        cells = ["" if entry is None else number(entry[key] * scale) for entry in values]
        rows.append([NETWORKS[job["network"]].title, f"{TASKS[job['task']]} {job['batch']}", *cells])
    return markdown(rows)


def number(x):
    """Three significant digits, without an exponent."""
    return f"{x:.0f}" if x >= 100 else f"{x:.3g}" if x >= 0.01 else f"{x:.4f}"


def header(run):
    """What was measured, and on what."""
    machine = run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    return fill(
        f"{machine['cpu']}, {machine['threads']} thread(s), {machine['system']}, Python {machine['python']}; "
        f"{versions}. {run['rounds']} rounds of {run['seconds']:g} s; times are of the fastest call.",
        WIDTH,
    )


def report(run, detailed=False):
    """All lines about a run."""
    jobs = run["jobs"]
    lines = [header(run), "", *comparison(jobs), "", *means(jobs)]
    if detailed:
        for key in KEYS:
            lines += ["", *details(jobs, key)]
    return lines + [""] * bool(run["left_out"]) + [f"Left out: {k}: {v}" for k, v in run["left_out"].items()]
