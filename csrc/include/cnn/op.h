/* What an operation is to the program runner: a name, a descriptor, a list of buffers, a function.
 *
 * Every driver has the one form
 *     void op(const void *desc, void *const *buf, cnn_team *team)
 * and is entered by every thread of the team. `desc` points to the family's descriptor, `buf` holds the
 * inputs and then the outputs in the order of cnn_op.buffers; an optional input that is absent is NULL.
 *
 * Legend of dimensions, used in all descriptors:
 *   n, h, w, c   images, height, width and channels of the input (NHWC, contiguous)
 *   k            filters (output channels)          r, s   kernel height and width
 *   p, q         output height and width            m      depth multiplier, or rows of a matrix
 *   f, t, o      frames of the input, of the kernel and of the output, the axis before h in three dimensions
 */
#ifndef CNN_OP_H
#define CNN_OP_H

#include <stddef.h>
#include <stdint.h>

#define CNN_MAX_DIMS 6

/* A descriptor is a list of fields of three kinds: I int64, F double, A int64[CNN_MAX_DIMS]. All are a
 * multiple of 8 bytes, so there is no padding and the binding can fill one from the list of its names. */
#define CNN_FIELD_I(name) int64_t name;
#define CNN_FIELD_F(name) double name;
#define CNN_FIELD_A(name) int64_t name[CNN_MAX_DIMS];
#define CNN_NAME_I(name) #name ":i "
#define CNN_NAME_F(name) #name ":f "
#define CNN_NAME_A(name) #name ":a "
#define CNN_DESCRIPTOR(type, FIELDS)                                                                                   \
    typedef struct type {                                                                                              \
        FIELDS(CNN_FIELD_I, CNN_FIELD_F, CNN_FIELD_A)                                                                  \
    } type
#define CNN_FIELD_NAMES(FIELDS) FIELDS(CNN_NAME_I, CNN_NAME_F, CNN_NAME_A)

typedef struct cnn_team cnn_team;

/* Scratch memory an operation wants, in bytes: `shared` by the team, `local` to each thread. */
typedef struct cnn_workspace {
    size_t shared, local;
} cnn_workspace;

typedef struct cnn_op {
    const char *name;    /* as in the reference: "conv2d_fwd" */
    const char *fields;  /* CNN_FIELD_NAMES of the descriptor */
    const char *buffers; /* "x w bias? addend? -> y": '?' marks an optional one, '*' a list */
    void (*run)(const void *desc, void *const *buf, cnn_team *team);
    cnn_workspace (*workspace)(const void *desc); /* NULL: wants none */
} cnn_op;

#endif
