/* Updates of variables in place. */
#include "cnn/update.h"

/* In a block's set-up: where array p is read and written, with a buffer of its own for the rest. */
#define UPDATED(p)                                                                                                     \
    float p##_buffer[CNN_BLOCK];                                                                                       \
    float *b_##p = (float *)block_in(CNN_BLOCK, p + i, left, p##_buffer)
#define READ_ONLY(p)                                                                                                   \
    float p##_buffer[CNN_BLOCK];                                                                                       \
    const float *b_##p = block_in(CNN_BLOCK, p + i, left, p##_buffer)
#define UPDATE_DONE(p) block_done(CNN_BLOCK, p + i, left, p##_buffer)

K(sgd)(int64_t n, float lr, const float *g, float *w)
{
    BLOCKS(n, READ_ONLY(g); UPDATED(w), b_w[l] -= lr * b_g[l], UPDATE_DONE(w))
}

K(momentum)(int64_t n, float lr, float momentum, int64_t nesterov, const float *g, float *w, float *v)
{
    if (nesterov)
        BLOCKS(n, READ_ONLY(g); UPDATED(w); UPDATED(v), float step = momentum * b_v[l] - lr * b_g[l]; b_v[l] = step;
               b_w[l] += momentum * step - lr * b_g[l], UPDATE_DONE(w); UPDATE_DONE(v))
    else
        BLOCKS(n, READ_ONLY(g); UPDATED(w); UPDATED(v), float step = momentum * b_v[l] - lr * b_g[l]; b_v[l] = step;
               b_w[l] += step, UPDATE_DONE(w); UPDATE_DONE(v))
}

K(adam)(int64_t n, float lr, float rate1, float rate2, float epsilon, const float *g, float *w, float *m, float *v)
{
    BLOCKS(n, READ_ONLY(g); UPDATED(w); UPDATED(m); UPDATED(v), b_m[l] += (b_g[l] - b_m[l]) * rate1;
           b_v[l] += (b_g[l] * b_g[l] - b_v[l]) * rate2;
           b_w[l] -= lr * b_m[l] / (m_sqrt(b_v[l]) + epsilon), UPDATE_DONE(w); UPDATE_DONE(m); UPDATE_DONE(v))
}

K(rmsprop)
(int64_t n, float lr, float rho, float rate, float epsilon, float momentum, const float *g, float *w, float *v,
 float *mom)
{
    if (momentum > 0.0f)
        BLOCKS(n, READ_ONLY(g); UPDATED(w); UPDATED(v); UPDATED(mom), b_v[l] = rho * b_v[l] + rate * b_g[l] * b_g[l];
               b_mom[l] = momentum * b_mom[l] + lr * b_g[l] / m_sqrt(b_v[l] + epsilon);
               b_w[l] -= b_mom[l], UPDATE_DONE(w); UPDATE_DONE(v); UPDATE_DONE(mom))
    else
        BLOCKS(n, READ_ONLY(g); UPDATED(w); UPDATED(v), b_v[l] = rho * b_v[l] + rate * b_g[l] * b_g[l];
               b_w[l] -= lr * b_g[l] / m_sqrt(b_v[l] + epsilon), UPDATE_DONE(w); UPDATE_DONE(v))
}

K(ema)(int64_t n, float momentum, float rate, const float *x, float *v)
{
    BLOCKS(n, READ_ONLY(x); UPDATED(v), b_v[l] = b_v[l] * momentum + b_x[l] * rate, UPDATE_DONE(v))
}
