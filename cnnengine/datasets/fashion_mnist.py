"""Fashion-MNIST: 28x28 grey pictures of clothes (Xiao, Rasul and Vollgraf 2017, Zalando SE), MIT licence."""

from cnnengine.datasets.idx import load_idx_dataset

# Where Debian's package dataset-fashion-mnist puts them.
_SYSTEM_FOLDERS = ("/usr/share/datasets/fashion-mnist",)
_ORIGIN = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"
_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def load_data(path=None):
    """Load Fashion-MNIST, 60,000 training and 10,000 test pictures.

    Args:
        path: Folder with the four IDX files, plain or gzip. None looks where Debian's package dataset-fashion-mnist
            puts them, then in the cache ($CNNENGINE_HOME/datasets/fashion-mnist, else
            ~/.cnnengine/datasets/fashion-mnist), and then downloads into the cache.

    Returns:
        ((x_train, y_train), (x_test, y_test)), uint8: pictures (n, 28, 28) from 0 to 255, labels (n,) from 0 to 9;
        `CLASS_NAMES` says what they mean.

    Raises:
        DatasetError: If the files cannot be found, fetched or read; the text says how to get them.
    """
    return load_idx_dataset("fashion-mnist", path, _SYSTEM_FOLDERS, _ORIGIN, _MD5)
