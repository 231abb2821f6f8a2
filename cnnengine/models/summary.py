"""The table that model.summary() prints, in Keras's form."""

import re
import shutil
import textwrap

from cnnengine.core.console import write
from cnnengine.core.errors import ConfigError
from cnnengine.core.spec import ITEM_BYTES
from cnnengine.core.tree import flatten
from cnnengine.core.variable import Variable


def _size_text(nbytes):
    for unit in ("B", "KB", "MB", "GB"):
        if nbytes < 1024 or unit == "GB":
            return f"{nbytes:.2f} {unit}"
        nbytes /= 1024


def _count(variables):
    unique = {id(v): v for v in variables if isinstance(v, Variable)}.values()
    elements = sum(v.spec.size for v in unique)
    return elements, sum(v.spec.size * ITEM_BYTES[v.dtype] for v in unique)


def _shape_text(layer):
    """Output shape of a layer as Keras writes it, "?" before it was called."""
    if not layer._nodes:
        shapes = getattr(layer, "_build_shapes", None)
        if shapes is None or not layer.built:
            return "?"
        try:
            shape = layer.compute_output_shape(shapes)
        except Exception:  # a custom layer may only know inside a call
            return "?"
        return str(
            tuple(None if i == 0 else d for i, d in enumerate(shape)) if shape and shape[0] is not None else shape
        )
    shapes = [tensor.shape for tensor in layer._nodes[-1].outputs]
    return str(shapes[0]) if len(shapes) == 1 else ", ".join(map(str, shapes))


def _params_text(layer):
    if not layer.built and not layer.weights:
        return "0 (unbuilt)"
    return f"{sum(v.spec.size for v in layer.weights):,}"


def _connections(layer, calls):
    sources = []
    for node in layer._nodes:
        if calls is None or any(node is call for call in calls):
            for tensor in node.inputs:
                source = tensor.node.layer
                sources.append(f"{source.name}[{source._nodes.index(tensor.node)}][{tensor.index}]")
    return ", ".join(sources) or "-"


def _is_plain_stack(model):
    calls = getattr(model, "_calls", None)
    if calls is None:
        return True
    used = [id(tensor) for call in calls for tensor in call.inputs]
    return all(len(call.inputs) == 1 for call in calls) and len(used) == len(set(used)) and len(model.inputs) == 1


def _rows(model, columns, expand_nested, show_trainable, level=0):
    rows = []
    calls = getattr(model, "_calls", None)
    for layer in model.layers:
        prefix = "   " * level + "└ " if level else ""
        row = [f"{prefix}{layer.name} ({type(layer).__name__})", _shape_text(layer), _params_text(layer)]
        if "Connected to" in columns:
            row.append(_connections(layer, calls))
        if show_trainable:
            row.append(("Y" if layer.trainable else "N") if layer.weights else "-")
        rows.append(row)
        if expand_nested and hasattr(layer, "summary"):
            rows += _rows(layer, columns, True, show_trainable, level + 1)
    return rows


def _in_range(rows, layer_range):
    """Rows between the layers that match the two patterns."""
    if layer_range is None:
        return rows
    if len(layer_range) != 2:
        raise ConfigError(f"layer_range must be two names. Received: {layer_range!r}")
    names = [row[0].split(" (")[0].strip(" └") for row in rows]
    found = [[i for i, name in enumerate(names) if re.fullmatch(pattern, name)] for pattern in layer_range]
    if not all(found):
        raise ConfigError(f"layer_range: no layer matches {layer_range!r}. Existing layers: {names}")
    return rows[min(map(min, found)) : max(map(max, found)) + 1]


def _widths(columns, line_length, positions):
    """Inner width of each column."""
    if positions is None:
        positions = [0.45, 0.80, 1.0] if "Connected to" not in columns else [0.3, 0.56, 0.74, 1.0]
        positions = [p * 0.9 for p in positions] + [1.0] if "Trainable" in columns else positions
    if line_length is None:
        base = 88 if "Connected to" not in columns else 108
        line_length = min(base + 12 * ("Trainable" in columns), shutil.get_terminal_size((80, 24)).columns - 4)
    ends = [int(p * line_length) if p <= 1 else int(p) for p in positions]
    widths, spare = [], 3 * len(columns) + 1  # what borders and padding take, shared from left to right as Keras does
    for i, (start, end) in enumerate(zip([0, *ends], ends)):
        share = round(spare / (len(columns) - i))
        widths.append(max(end - start + 2 - share, 3))
        spare -= share
    return widths


def _cell(text, width):
    """Lines of a cell: wrapped between words; a word that is longer than a line is cut."""
    text = re.sub(rf"\S{{{width + 1},}}", lambda word: word[0][: width - 1] + "…", text)
    return [text] if len(text) <= width else textwrap.wrap(text, width, break_on_hyphens=False)


def _line(cells, widths, aligns, bar="│"):
    wrapped = [_cell(text, width - 2) for text, width in zip(cells, widths)]
    lines = []
    for i in range(max(map(len, wrapped))):
        parts = []
        for lines_of_cell, width, align in zip(wrapped, widths, aligns):
            text = lines_of_cell[i] if i < len(lines_of_cell) else ""
            parts.append(f" {text:{align}{width - 2}} ")
        lines.append(bar + bar.join(parts) + bar)
    return lines


def _table(columns, rows, widths):
    aligns = [">" if name == "Param #" else "^" if name == "Trainable" else "<" for name in columns]

    def rule(left, fill, cross, right):
        return left + cross.join(fill * width for width in widths) + right

    out = [rule("┏", "━", "┳", "┓"), *_line(columns, widths, aligns, "┃"), rule("┡", "━", "╇", "┩")]
    for i, row in enumerate(rows):
        out += [*_line(row, widths, aligns)] + ([rule("├", "─", "┼", "┤")] if i + 1 < len(rows) else [])
    return [*out, rule("└", "─", "┴", "┘")]


def _footer(model):
    optimizer = model.optimizer.variables if getattr(model.optimizer, "built", False) else []
    groups = [("Trainable params", model.trainable_weights), ("Non-trainable params", model.non_trainable_weights)]
    groups += [("Optimizer params", optimizer)] if optimizer else []
    groups.insert(0, ("Total params", [*model.weights, *flatten(list(optimizer))]))
    return [f" {label}: {_count(v)[0]:,} ({_size_text(_count(v)[1])})" for label, v in groups]


def print_summary(model, line_length, positions, print_fn, expand_nested, show_trainable, layer_range):
    """Print the summary of a model; the arguments are those of Model.summary."""
    columns = ["Layer (type)", "Output Shape", "Param #"]
    columns += [] if _is_plain_stack(model) else ["Connected to"]
    columns += ["Trainable"] if show_trainable else []
    rows = _in_range(_rows(model, columns, expand_nested, show_trainable), layer_range)
    lines = [
        f'Model: "{model.name}"',
        *_table(columns, rows, _widths(columns, line_length, positions)),
        *_footer(model),
    ]
    (print_fn or write)("\n".join(lines))
