"""Types of command-line options the examples share."""

import argparse


def positive(text):
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, received {text}")
    return number
