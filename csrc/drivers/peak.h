/* What this machine's arithmetic can do at most. */
#ifndef CNN_PEAK_H
#define CNN_PEAK_H

/* Float operations a second (a multiply-add is two) that `threads` threads reach together with the ISA in use, in
 * registers only: the best of short rounds for `seconds`. */
double cnn_fma_peak(int threads, double seconds);

#endif
