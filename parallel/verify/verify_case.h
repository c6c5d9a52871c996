#pragma once

#include "parallel/step/training_rank.h"

namespace trireme::verify {

/// A short training run whose every number another layout must give too. Everything in it is made from the
/// case alone: weights from `rank.seed`, tokens from their sample number.
struct VerifyCase {
  int num_ranks = 1;
  RankOptions rank;  ///< `rank.model` resolved
  bool packed_documents = false;
  bool hidden_tokens = false;  ///< data.mask_by_attention
  int64_t first_step = 1;
  int64_t num_steps = 2;
  double lr = 0.01;
};

/// Sets what would hide a difference or blow rounding up, and is no choice of structure: weights large enough
/// that every part of the model acts (half as large without norms, where what a layer adds makes the next add
/// more, and rounding grows with it); the optimizer's epsilon near the size of gradients, so that an update
/// is a smooth function of the gradient (a small one makes whole steps of gradients that are rounding noise);
/// a loss scale that does not overflow in the first steps.
void make_measurable(VerifyCase& run);

/// The same run as one rank does it: no axis, one micro-batch, nothing recomputed, whole optimizer state.
/// With BatchNorm, whose statistics are those of a micro-batch, micro-batches as large as the data ranks'
/// together.
VerifyCase on_one_rank(const VerifyCase& layout);
/// The same run in another precision.
VerifyCase in_precision(const VerifyCase& layout, Precision precision);
/// The same run with gelu in place of ReLU, whose derivative jumps: below fp64 rounding decides on which side
/// of 0 a unit is, and a gradient of few tokens moves by any share of itself.
VerifyCase with_smooth_activation(const VerifyCase& layout);

}  // namespace trireme::verify
