/* The multiply-add units at full load: what benchmarks measure all other kernels against. */

enum { FMA_CHAINS = 14 }; /* 16 registers hold them and the two constants; 2 units of 4 cycles' latency want 8 */

#define ROWS_14(X) ROWS_13(X) X(13)
#define CHAIN_START(r) vf c##r = v_splat((float)r);
#define CHAIN_STEP(r) c##r = c##r * a + b;
#define CHAIN_SUM(r) total += c##r;

/* `n` multiply-adds of floats, a multiple of 14 * 16, in chains that do not wait for each other. With a factor below 1
 * the chains settle at term / (1 - factor): neither infinite nor denormal, which would run at another speed. */
K(fma_chain)(int64_t n, float factor, float term, float *sum)
{
    const vf a = v_splat(factor), b = v_splat(term);
    vf total = {0};
    ROWS_14(CHAIN_START)
    for (int64_t i = n / (FMA_CHAINS * CNN_VL); i > 0; i--) {
        ROWS_14(CHAIN_STEP)
    }
    ROWS_14(CHAIN_SUM)
    *sum = 0.0f;
    for (int l = 0; l < CNN_VL; l++)
        *sum += total[l];
}
