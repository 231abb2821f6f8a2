"""The optical digits: 1,797 real handwritten digits of 8x8 pixels, small enough to come with the package.

E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits. UCI Machine Learning Repository, 1998. CC BY 4.0.
"""

import os

import numpy as np

_FILE = os.path.join(os.path.dirname(__file__), "data", "digits.npz")


def load_data():
    """Load the digits, 1,437 training and 360 test pictures.

    The split is fixed and even over the classes: with the pictures sorted by label (ties in the order of the source),
    every fifth is a test picture. Both parts keep the order of the source, which mixes the classes.

    Returns:
        ((x_train, y_train), (x_test, y_test)), uint8: pictures (n, 8, 8) from 0 to 16, labels (n,) from 0 to 9.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()
        >>> x_train.shape
        (1437, 8, 8)
    """
    with np.load(_FILE, allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    is_test = np.zeros(len(labels), bool)
    is_test[np.argsort(labels, kind="stable")[::5]] = True
    return (images[~is_test], labels[~is_test]), (images[is_test], labels[is_test])
