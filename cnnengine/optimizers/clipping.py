"""Limits of gradients."""

from cnnengine import ops


def clipped(gradients, norm=None, global_norm=None, value=None):
    """The gradients within one of three limits; None and 0 mean no limit.

    Args:
        gradients: tensors.
        norm: largest norm of each.
        global_norm: largest norm of all together (Pascanu et al. 2013).
        value: largest absolute value of an element.
    """
    if norm:
        return [_scaled_to(gradient, _norm([gradient]), norm) for gradient in gradients]
    if global_norm:
        total = _norm(gradients)
        return [_scaled_to(gradient, total, global_norm) for gradient in gradients]
    if value:
        return [ops.clip(gradient, -value, value) for gradient in gradients]
    return gradients


def _norm(tensors):
    """Euclidean norm of all elements of some tensors together."""
    squares = [ops.sum(ops.square(tensor)) for tensor in tensors]
    total = squares[0]
    for square in squares[1:]:
        total = ops.add(total, square)
    return ops.sqrt(total)


def _scaled_to(gradient, norm, limit):
    """The gradient, made smaller where the norm is above the limit."""
    return ops.multiply(gradient, ops.divide(limit, ops.maximum(norm, limit)))
