#pragma once

#include "core/ops/embedding.h"

namespace trireme::ops {

/// Complex-valued word embedding, Wang et al. 2020 (ICLR, "Encoding word order in complex embeddings"),
/// equation 5: word j at position p is r_j exp(i (w_j p + theta_j)), element by element. out [ids, D]: real
/// parts in the first D/2 columns, imaginary ones behind; amplitude r, frequency w and phase theta [V, D/2];
/// ids and positions int32, as many of each; an id of another range gives zeros. Computed in double. Throws
/// ShapeError, and DataError naming an id outside the vocabulary.
void complex_embedding_forward(Context& context, const Tensor& amplitude, const Tensor& frequency,
                               const Tensor& phase, const Tensor& ids, const Tensor& positions, Tensor& out,
                               const TableRange& range = {});

/// One gradient row an id, for embedding_backward: d_amplitude, d_frequency and d_phase [ids, D/2], float32
/// (float64), written.
void complex_embedding_backward(Context& context, const Tensor& d_out, const Tensor& amplitude,
                                const Tensor& frequency, const Tensor& phase, const Tensor& ids,
                                const Tensor& positions, Tensor& d_amplitude, Tensor& d_frequency,
                                Tensor& d_phase, const TableRange& range = {});

}  // namespace trireme::ops
