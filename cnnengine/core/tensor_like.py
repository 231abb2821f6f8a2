"""Python's operators for everything that stands for a tensor: traced values, symbolic tensors, variables.

The functions behind the operators live on a higher floor (ops/), which installs them here.
"""

OPERATORS = {}


def _forward(name):
    return lambda self, other: OPERATORS[name](self, other)


def _reflected(name):
    return lambda self, other: OPERATORS[name](other, self)


class TensorLike:
    """Mixin: arithmetic, comparison and indexing by the public operations. Needs `shape`."""

    __array_ufunc__ = None  # array + value must come to __radd__, not be taken apart element by element

    __add__, __radd__ = _forward("add"), _reflected("add")
    __sub__, __rsub__ = _forward("subtract"), _reflected("subtract")
    __mul__, __rmul__ = _forward("multiply"), _reflected("multiply")
    __truediv__, __rtruediv__ = _forward("divide"), _reflected("divide")
    __floordiv__, __rfloordiv__ = _forward("floor_divide"), _reflected("floor_divide")
    __mod__, __rmod__ = _forward("mod"), _reflected("mod")
    __pow__, __rpow__ = _forward("power"), _reflected("power")
    __matmul__, __rmatmul__ = _forward("matmul"), _reflected("matmul")
    __lt__, __le__ = _forward("less"), _forward("less_equal")
    __gt__, __ge__ = _forward("greater"), _forward("greater_equal")

    def __neg__(self):
        return OPERATORS["negative"](self)

    def __abs__(self):
        return OPERATORS["absolute"](self)

    def __getitem__(self, key):
        return OPERATORS["getitem"](self, key)

    def __len__(self):
        if not self.shape:
            raise TypeError("len() of a tensor without dimensions")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        raise TypeError(
            f"{type(self).__name__} has no truth value while a model is being traced: its elements are not known yet. "
            "Use ops.where(condition, a, b) instead of `if`."
        )

    def __array__(self, *args, **kwargs):
        raise TypeError(
            f"{type(self).__name__} has no elements yet, so NumPy cannot work on it. Use the functions of ops instead."
        )

    @property
    def ndim(self):
        return len(self.shape)
