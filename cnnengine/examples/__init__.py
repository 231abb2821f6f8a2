"""Programs to start from: `python -m cnnengine.examples.digits`, `python -m cnnengine.examples.fashion_mnist`."""
