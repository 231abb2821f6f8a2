"""Which value the derivative of each elementwise function reads: the `needs` column of csrc/include/cnn/unary.def."""

READS_X = frozenset(
    "leaky_relu elu softplus softsign silu gelu gelu_tanh hard_silu mish log log1p square abs erf sin cos clip power "
    "threshold".split()
)
READS_Y = frozenset("relu relu6 sigmoid tanh hard_sigmoid exp expm1 sqrt rsqrt reciprocal".split())
