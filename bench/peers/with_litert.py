"""LiteRT, formerly TensorFlow Lite, its file converted by TensorFlow from Keras's network."""

from ai_edge_litert.interpreter import Interpreter

FILE = "network.tflite"


def prepare(folder):
    import keras
    import tensorflow as tf

    model = keras.saving.load_model(folder / "network.keras", compile=False)
    (folder / FILE).write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


def predictor(folder, x, threads, variant):
    interpreter = Interpreter(str(folder / FILE), num_threads=threads)
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    interpreter.resize_tensor_input(source, x.shape, strict=True)
    interpreter.allocate_tensors()

    def run():
        interpreter.set_tensor(source, x)  # every time: the input's memory is used again for what comes later
        interpreter.invoke()
        return interpreter.get_tensor(target)

    return run
