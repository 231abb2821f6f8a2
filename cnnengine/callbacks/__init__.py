"""Code that runs at the begin and end of every epoch and batch of fit, evaluate and predict."""

from cnnengine.callbacks.callback import Callback
from cnnengine.callbacks.callback_list import CallbackList
from cnnengine.callbacks.csv_logger import CSVLogger
from cnnengine.callbacks.early_stopping import EarlyStopping
from cnnengine.callbacks.history import History
from cnnengine.callbacks.lambda_callback import LambdaCallback
from cnnengine.callbacks.learning_rate_scheduler import LearningRateScheduler
from cnnengine.callbacks.model_checkpoint import ModelCheckpoint
from cnnengine.callbacks.monitor_callback import MonitorCallback
from cnnengine.callbacks.progbar_logger import ProgbarLogger
from cnnengine.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from cnnengine.callbacks.terminate_on_nan import TerminateOnNaN

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "MonitorCallback",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]
