"""Markdown tables from the JSON of a run: python bench/report.py results.json [targets] [networks] [products] [moves].

Targets are what is asked of the kernels (bench/targets.py), row by row; networks are training steps and predictions,
products are what multiply-adds bind, moves are what memory binds. Without a choice all are printed.
"""

import argparse
import json
import sys

SECTIONS = {
    "targets": "Targets",
    "networks": "Whole networks",
    "products": "Matrix products and convolutions",
    "moves": "The rest: bound by memory",
}
ROOFS = {"peak": "of peak", "copy": "of copying", "l2": "of peak or L2", "plain": "of plain"}
PEERS = {"reference": "NumPy", "torch": "PyTorch"}
HEAD = ["operation", "shape", "native ms", "GFLOP/s", "GB/s", "% of roof", "target", "met", *PEERS.values()]


def read(path):
    """The rows of a run, one a group in the order of the run: {implementation: seconds} and what is known of it."""
    with open(path) as file:
        run = json.load(file)
    rows = {}
    for entry in run["benchmarks"]:
        info = entry["extra_info"]
        row = rows.setdefault(entry["group"], {"op": info["op"], "shape": info["shape"], "seconds": {}})
        row["seconds"][info["implementation"]] = entry["stats"]["min"]
        if info["implementation"] == "native":
            row["info"] = info
    rows = {group: row for group, row in rows.items() if "info" in row}
    for row in rows.values():
        plain = rows.get(row["info"].get("beside"))
        if plain:
            row["info"]["share"] = row["info"]["gflops"] / plain["info"]["gflops"]
    return run["machine_info"], list(rows.values())


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
    """One line a target: the least share of its cases, how many met it, and those that did not."""
    groups = {}
    for row in rows:
        if row["info"].get("target"):
            groups.setdefault(row["info"]["target"]["title"], []).append(row)
    yield "| kernel | target | least | met | missed |"
    yield "|---|---|---:|---:|---|"
    for title, group in groups.items():
        shares = [row["info"]["share"] for row in group if row["info"]["share"] is not None]
        least = f"{100 * min(shares):.0f} %" if shares else ""
        short = [(row, text) for row in group if (text := misses(row))]
        met = sum(misses(row) == "" for row in group)
        missed = "; ".join(f"`{row['op']}` {row['shape']} ({text})" for row, text in short)
        yield f"| {title} | {asked(group[0]['info']['target'])} | {least} | {met} of {len(group)} | {missed} |"


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
    parser.add_argument("results", help="JSON file of pytest bench/ --benchmark-json=FILE")
    parser.add_argument("sections", nargs="*", metavar="section", help=f"of {', '.join(SECTIONS)} (default: all)")
    options = parser.parse_args(argv)
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"sections are {', '.join(SECTIONS)}. Received: {', '.join(sorted(unknown))}")
    machine, rows = read(options.results)
    if not rows:
        sys.exit(f"{options.results} holds no measurement of the native implementation")
    print(header(machine))
    for section in options.sections or SECTIONS:
        chosen = [row for row in rows if section in ("targets", section_of(row))]
        lines = list(targets_table(chosen) if section == "targets" else table(chosen))
        if len(lines) > 2:
            print(f"\n**{SECTIONS[section]}**\n", *lines, sep="\n")


if __name__ == "__main__":
    main()
