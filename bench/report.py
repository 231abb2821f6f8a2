"""Markdown tables from the JSON of one run or several: python bench/report.py results.json … [--only targets …].

Targets are what is asked of the kernels (bench/targets.py), row by row; networks are training steps and predictions,
products are what multiply-adds bind, moves are what memory binds. Without a choice all are printed.

Of several runs on one machine the fastest time of each benchmark counts, with the roofs measured beside it: what a
neighbour disturbed in one run it leaves alone in another.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import median

SECTIONS = {
    "targets": "Targets",
    "networks": "Whole networks",
    "products": "Matrix products and convolutions",
    "moves": "The rest: bound by memory",
}
ROOFS = {"peak": "of peak", "copy": "of copying", "l2": "of peak or L2", "plain": "of plain"}
PEERS = {"reference": "NumPy", "torch": "PyTorch"}
HEAD = ["operation", "shape", "native ms", "GFLOP/s", "GB/s", "% of roof", "target", "met", *PEERS.values()]


def read(paths):
    """(what was measured on, the rows, one a group in the order of the runs) of runs of one machine in one setting.

    A row is {"op", "shape", "seconds": {implementation: fastest}, "info": what is known of the native one}.
    """
    runs = [json.loads(Path(path).read_text()) for path in paths]
    machine = runs[0]["machine_info"]
    facts = [run["machine_info"]["cnnengine"] for run in runs]
    if (
        len({(one["isa"], one["threads"], run["machine_info"]["cpu"]["brand_raw"]) for one, run in zip(facts, runs)})
        > 1
    ):
        sys.exit("The runs are of different machines, instruction sets or numbers of threads")
    for roof in ("fma_peak", "copy_bandwidth", "l2_bandwidth"):
        machine["cnnengine"][roof] = max(one[roof] for one in facts)
    rows = {}
    for entry in (entry for run in runs for entry in run["benchmarks"]):
        _take(rows, entry)
    rows = {group: row for group, row in rows.items() if "info" in row}
    for row in rows.values():
        row["info"]["share"] = _share(row["info"], rows)
    return machine, list(rows.values())


def _take(rows, entry):
    """Put a benchmark into its row unless a faster one is there."""
    info, seconds = entry["extra_info"], entry["stats"]["min"]
    row = rows.setdefault(entry["group"], {"op": info["op"], "shape": info["shape"], "seconds": {}})
    if seconds < row["seconds"].get(info["implementation"], float("inf")):
        row["seconds"][info["implementation"]] = seconds
        if info["implementation"] == "native":
            row["info"] = info


def _share(info, rows):
    """Part of its roof that a measurement reached; None where the roof is another measurement that was not taken."""
    product, moved = info.get("gflops", 0), info.get("gbytes", 0)
    if info["roof"] == "plain":
        plain = rows.get(info["beside"])
        return product / plain["info"]["gflops"] if plain else None
    shares = {
        "peak": product / info["fma_peak"],
        "copy": moved / info["copy_bandwidth"],
        "l2": max(product / info["fma_peak"], moved / info["l2_bandwidth"]),
    }
    return shares[info["roof"]]


def section_of(row):
    if row["op"] in ("training step", "predict"):
        return "networks"
    return "products" if "gflops" in row["info"] else "moves"


def speed_ups(row):
    """How many times as long each of the others took."""
    native, seconds = row["seconds"]["native"], row["seconds"]
    return {peer: seconds[peer] / native for peer in PEERS if peer in seconds}


def misses(row):
    """What a row falls short of, as text: its share of the roof, and those that are faster.

    None where nothing is missed of what was measured, but not all that the target asks was.
    """
    target, share = row["info"]["target"], row["info"]["share"]
    if share is None:
        return None
    found = [f"{100 * share:.0f} %"] if target["share"] and 100 * share < target["share"] else []
    ratios = {peer: ratio for peer, ratio in speed_ups(row).items() if peer in target["beats"]}
    found += [f"{PEERS[peer]} {_number(ratio)}×" for peer, ratio in ratios.items() if ratio <= 1]
    return ", ".join(found) if found or len(ratios) == len(target["beats"]) else None


def table(rows):
    """The lines of one section's table."""
    lines = [f"| {' | '.join(HEAD)} |", f"|{'---|' * 2}{'---:|' * (len(HEAD) - 2)}"]
    return lines + [f"| {' | '.join(_cells(row))} |" for row in rows]


def _cells(row):
    info, target = row["info"], row["info"].get("target")
    yield from (f"`{row['op']}`" if section_of(row) != "networks" else row["op"], row["shape"])
    yield _number(row["seconds"]["native"] * 1e3)
    yield from (_number(info[rate]) if rate in info else "" for rate in ("gflops", "gbytes"))
    yield "" if info["share"] is None else f"{100 * info['share']:.0f}"
    yield asked(target) if target else ""
    yield {None: "", "": "yes"}.get(misses(row), "no") if target else ""
    yield from (f"{_number(ratios[peer])}×" if peer in (ratios := speed_ups(row)) else "" for peer in PEERS)


def asked(target):
    """A target in short: the least share of its roof, and whom to beat."""
    share = f"≥ {target['share']:g} % {ROOFS[target['roof']]}" if target["share"] else "none"
    return share + "".join(f", > {PEERS[peer]}" for peer in target["beats"])


def targets_table(rows):
    """One line a target: the least and the middle share of its cases, how many met it; then those that did not."""
    groups = {}
    for row in rows:
        if row["info"].get("target"):
            groups.setdefault(row["info"]["target"]["title"], []).append(row)
    yield "| kernel | target | least | median | met |"
    yield "|---|---|---:|---:|---:|"
    for title, group in groups.items():
        shares = [row["info"]["share"] for row in group if row["info"]["share"] is not None] or [0]
        met = sum(misses(row) == "" for row in group)
        least, middle = (f"{100 * share:.0f} %" for share in (min(shares), median(shares)))
        yield f"| {title} | {asked(group[0]['info']['target'])} | {least} | {middle} | {met} of {len(group)} |"
    yield ""
    for title, group in groups.items():
        if short := [f"`{row['op']}` {row['shape']} ({text})" for row in group if (text := misses(row))]:
            yield f"- {title}: {'; '.join(short)}"


def _number(x):
    """Three significant digits, without an exponent."""
    return f"{x:.0f}" if x >= 100 else f"{x:.3g}" if x >= 0.01 else f"{x:.4f}"


def header(machine):
    """One line on what was measured, and on what."""
    cpu, info = machine["cpu"].get("brand_raw", "unknown CPU"), machine["cnnengine"]
    return (
        f"{cpu}, {info['threads']} thread(s), {info['isa']}, NumPy {info['numpy']}. Times are of the "
        f"fastest round; the peak is {info['fma_peak']:.0f} GFLOP/s of multiply-adds in registers, copying moves "
        f"{info['copy_bandwidth']:.0f} GB/s out of cache and {info['l2_bandwidth']:.0f} GB/s within L2, all measured "
        "in the same run."
    )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", help="JSON files of pytest bench/ --benchmark-json=FILE")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="what to print (all)")
    options = parser.parse_args(argv)
    machine, rows = read(options.results)
    if not rows:
        sys.exit(f"{', '.join(options.results)}: no measurement of the native implementation")
    print(header(machine))
    for section in options.only:
        chosen = [row for row in rows if section in ("targets", section_of(row))]
        lines = list(targets_table(chosen) if section == "targets" else table(chosen))
        if len(lines) > 2:
            print(f"\n**{SECTIONS[section]}**\n", *lines, sep="\n")


if __name__ == "__main__":
    main()
