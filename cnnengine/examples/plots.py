"""Pictures of a training run, drawn with matplotlib (extra `plots`) and written as PNG files."""

import math
import os

from cnnengine.core.errors import missing_extra

_MAX_MISTAKES = 40
_COLUMNS = 8


def save_curves(history, path):
    """Draw loss and accuracy over the epochs, validation beside training.

    Args:
        history: The `History.history` of a fit: metric name to one value an epoch.
        path: PNG file to write.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    metrics = [name for name in history if not name.startswith("val_")]
    figure = _figure(width=5 * len(metrics), height=4)
    for position, name in enumerate(metrics, start=1):
        axes = figure.add_subplot(1, len(metrics), position)
        epochs = range(1, len(history[name]) + 1)
        axes.plot(epochs, history[name], marker="o", label="training")
        if f"val_{name}" in history:
            axes.plot(epochs, history[f"val_{name}"], marker="o", label="validation")
        axes.set(title=name, xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path)


def save_mistakes(images, labels, predictions, path, names=None):
    """Draw the pictures a model got wrong, each with its true and its predicted class.

    Args:
        images: Array (n, h, w).
        labels, predictions: Class numbers (n,).
        path: PNG file to write.
        names: What the classes are called; None shows the numbers.

    Returns:
        How many were wrong; at most 40 of them are drawn.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    names = names if names is not None else range(max(labels.max(), predictions.max()) + 1)
    wrong = (labels != predictions).nonzero()[0]
    shown = wrong[:_MAX_MISTAKES]
    rows = max(1, math.ceil(len(shown) / _COLUMNS))
    figure = _figure(width=1.5 * _COLUMNS, height=1.9 * rows + 0.5)
    figure.suptitle(f"{len(wrong)} of {len(labels)} wrong (true class, predicted class)")
    for position, index in enumerate(shown, start=1):
        axes = figure.add_subplot(rows, _COLUMNS, position)
        axes.imshow(images[index], cmap="gray_r")
        axes.set_title(f"{names[labels[index]]}\n{names[predictions[index]]}", fontsize=8)
        axes.set_axis_off()
    figure.savefig(path)
    return len(wrong)


def save_run(history, images, labels, predictions, folder, prefix, names=None):
    """Save the curves and the mistakes of one run and say where; without matplotlib, say how to get it.

    Args:
        history: As in `save_curves`.
        images, labels, predictions, names: As in `save_mistakes`.
        folder: Made if missing.
        prefix: Start of both file names.
    """
    os.makedirs(folder, exist_ok=True)
    curves = os.path.join(folder, f"{prefix}_curves.png")
    mistakes = os.path.join(folder, f"{prefix}_mistakes.png")
    try:
        save_curves(history, curves)
        save_mistakes(images, labels, predictions, mistakes, names)
    except ImportError as error:
        print(f"No pictures: {error}")
    else:
        print(f"Training curves: {curves}")
        print(f"Misclassified:   {mistakes}")


def _figure(width, height):
    """A figure that is drawn by Agg, straight to a file: no display, no global state of pyplot."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(missing_extra("matplotlib", "plots", "Drawing pictures")) from error
    figure = Figure(figsize=(width, height), layout="tight")
    FigureCanvasAgg(figure)
    return figure
