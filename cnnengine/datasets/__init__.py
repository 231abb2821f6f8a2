"""Ready data sets: digits (ships with the package), mnist and fashion_mnist."""

from cnnengine.datasets import digits, fashion_mnist, mnist

__all__ = ["digits", "fashion_mnist", "mnist"]
