"""Every exception type of the package, and the text of a missing optional dependency.

Each type also derives from the built-in exception its readers expect (``ValueError``, ``TypeError``, ``OSError``),
so code written against Keras keeps catching what it caught before.
"""


class CnnEngineError(Exception):
    """Base of all errors raised by cnnengine itself."""


class ShapeError(CnnEngineError, ValueError):
    """Array shapes, ranks or sizes that do not fit together."""


class ConfigError(CnnEngineError, ValueError):
    """An argument or a configuration value that is not allowed."""


class DTypeError(CnnEngineError, TypeError):
    """An array of a type no operation accepts."""


class ModelFileError(CnnEngineError, ValueError):
    """A model or weight file that cannot be read; the sub-classes say why."""


class TruncatedFile(ModelFileError):
    """The file ends before its content does."""


class CorruptFile(ModelFileError):
    """The content contradicts itself or its checksum."""


class UnsafeContent(ModelFileError):
    """The file asks for code, another file or the network. There is no flag to allow it."""


class UnsupportedVersion(ModelFileError):
    """The format or its version is not known here."""


class TooLarge(ModelFileError):
    """The file declares more data than its real size can hold, or more than the limits allow."""


class CheckpointError(CnnEngineError, OSError):
    """A checkpoint could not be written, found or restored."""


class DatasetError(CnnEngineError, ValueError):
    """A data set file or folder that is missing or cannot be read.

    Attributes:
        path: The file or folder the error is about, or None.
    """

    def __init__(self, message, path=None):
        super().__init__(message)
        self.path = path

    def __reduce__(self):
        return type(self), (str(self), self.path)


def missing_extra(package, extra, what):
    """Text for the ImportError of an optional dependency.

    Args:
        package: The distribution that is missing, e.g. ``"matplotlib"``.
        extra: The extra of cnnengine that installs it, e.g. ``"plots"``.
        what: What needs it, as the subject of a sentence, e.g. ``"Drawing training curves"``.

    Returns:
        One line that ends with the install command.

    Example:
        >>> missing_extra("matplotlib", "plots", "Drawing pictures")
        'Drawing pictures needs matplotlib, which is not installed. Install it with: pip install "cnnengine[plots]"'
    """
    return f'{what} needs {package}, which is not installed. Install it with: pip install "cnnengine[{extra}]"'
