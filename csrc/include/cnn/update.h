/* Updates in place: what stands behind the arrow is read and written.
 *
 * sgd_update      g hyper -> w        w -= lr g
 * momentum_update g hyper -> w v      v = momentum v - lr g;  w += nesterov ? momentum v - lr g : v
 * adam_update     g hyper -> w m v    m += (g - m)(1 - beta1);  v += (g^2 - v)(1 - beta2);
 *                                     w -= lr m / (sqrt(v) + epsilon)  (the caller's lr holds the bias correction)
 * rmsprop_update  g hyper -> w v mom  v = rho v + (1 - rho) g^2;  d = lr g / sqrt(v + epsilon);
 *                                     momentum > 0: mom = momentum mom + d, w -= mom;  else w -= d, mom not touched
 * ema_update      x -> v              v = v momentum + x (1 - momentum)
 * assign          x -> v              v = x
 * assign_add      x -> v              v += x
 *
 * All (count). hyper: float[1], the learning rate of this step. */
#ifndef CNN_UPDATE_H
#define CNN_UPDATE_H

#include "cnn/op.h"

#define CNN_UPDATE_FIELDS(I, F, A) I(count) I(nesterov) F(momentum) F(beta1) F(beta2) F(rho) F(epsilon)
CNN_DESCRIPTOR(cnn_update, CNN_UPDATE_FIELDS);

#endif
