"""MNIST: 28x28 grey pictures of handwritten digits (LeCun, Cortes and Burges), licence CC BY-SA 3.0."""

from cnnengine.datasets.idx import load_idx_dataset

_ORIGIN = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}


def load_data(path=None):
    """Load MNIST, 60,000 training and 10,000 test pictures.

    Args:
        path: Folder with the four IDX files, plain or gzip. None looks in the cache ($CNNENGINE_HOME/datasets/mnist,
            else ~/.cnnengine/datasets/mnist) and then downloads into it.

    Returns:
        ((x_train, y_train), (x_test, y_test)), uint8: pictures (n, 28, 28) from 0 to 255, labels (n,) from 0 to 9.

    Raises:
        DatasetError: If the files cannot be found, fetched or read; the text says how to get them.
    """
    return load_idx_dataset("mnist", path, (), _ORIGIN, _MD5)
