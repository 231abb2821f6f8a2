"""Markdown tables from the JSON of a run: python bench/report.py results.json [networks] [products] [moves].

Networks are training steps and predictions, products are what multiply-adds bind, moves are what memory binds.
Without a choice all three are printed.
"""

import argparse
import json
import sys

SECTIONS = {
    "networks": "Whole networks",
    "products": "Matrix products and convolutions",
    "moves": "The rest: bound by memory",
}


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
    return run["machine_info"], [row for row in rows.values() if "info" in row]


def section_of(row):
    if row["op"] in ("training step", "predict"):
        return "networks"
    return "products" if "gflops" in row["info"] else "moves"


def table(rows, section):
    """The lines of one section's table."""
    rate = ["GB/s"] if section == "moves" else ["GFLOP/s", "% of peak"]
    head = ["operation", "shape", "native ms", "NumPy ms", "speed-up", *rate]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * 2}{'---:|' * (len(head) - 2)}"]
    return lines + [f"| {' | '.join(_cells(row, section))} |" for row in rows]


def _cells(row, section):
    native, reference = row["seconds"]["native"], row["seconds"].get("reference")
    info = row["info"]
    yield from (f"`{row['op']}`" if section != "networks" else row["op"], row["shape"], _number(native * 1e3))
    yield from ("", "") if reference is None else (_number(reference * 1e3), f"{_number(reference / native)}×")
    if section == "moves":
        yield _number(info["gbytes"])
    else:
        yield from (_number(info["gflops"]), f"{100 * info['peak_share']:.0f}")


def _number(x):
    """Three significant digits, without an exponent."""
    return f"{x:.0f}" if x >= 100 else f"{x:.3g}" if x >= 0.01 else f"{x:.4f}"


def header(machine):
    """One line on what was measured, and on what."""
    cpu, info = machine["cpu"].get("brand_raw", "unknown CPU"), machine["cnnengine"]
    return (
        f"{cpu}, {info['threads']} thread(s), {info['isa']}, NumPy {info['numpy']}. Times are of the "
        f"fastest round; the peak is {info['fma_peak']:.0f} GFLOP/s of multiply-adds in registers and copying moves "
        f"{info['copy_bandwidth']:.0f} GB/s, both measured in the same run."
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
        if chosen := [row for row in rows if section_of(row) == section]:
            print(f"\n**{SECTIONS[section]}**\n", *table(chosen, section), sep="\n")


if __name__ == "__main__":
    main()
