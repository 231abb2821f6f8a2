"""Writing to the terminal: one function, so that every message survives odd output streams."""

import sys

# Used only when the stream cannot encode the character itself (C locale, old Windows consoles).
_ASCII = str.maketrans({"━": "=", "└": "+", "│": "|", "┃": "|", "─": "-", "…": "."})


def write(text, end="\n"):
    """Write `text` to standard output at once.

    A missing or closed stream drops the text: a training run must not die because its terminal did.

    Args:
        text: What to print; characters the stream cannot encode are replaced.
        end: Appended to the text.
    """
    stream = sys.stdout
    if stream is None or getattr(stream, "closed", False):
        return
    text = f"{text}{end}"
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.translate(_ASCII).encode(encoding, errors="replace").decode(encoding))
    stream.flush()
