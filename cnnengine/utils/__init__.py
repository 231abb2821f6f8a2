"""Helpers around training: labels, scaling, splitting, downloads, the progress bar, profiles."""

from cnnengine.callbacks.progbar import Progbar
from cnnengine.core.seeds import set_random_seed
from cnnengine.utils.download import get_file
from cnnengine.utils.numerical import fit_standardization, normalize, standardize, to_categorical
from cnnengine.utils.profiling import Profile, ProfileRow, profile
from cnnengine.utils.splitting import split_dataset

__all__ = [
    "Profile",
    "ProfileRow",
    "Progbar",
    "fit_standardization",
    "get_file",
    "normalize",
    "profile",
    "set_random_seed",
    "split_dataset",
    "standardize",
    "to_categorical",
]
