#pragma once

#include "core/autograd/parameter.h"
#include "core/autograd/variable.h"
#include "core/ops/recurrent.h"

namespace trireme {

/// hidden [B, H] and, for LSTM, cell [B, H].
struct RecurrentVariables {
  Variable hidden, cell = {};
};

struct RecurrentResult {
  Variable out;  ///< [B*T, H], zeros beyond a sample's length
  RecurrentVariables last;
};

/// One recurrent layer over the projected input x [B*T, G*H] (a linear with the input's bias): formulas in
/// core/ops/recurrent.h. weight [G*H, H], bias [G*H] (null: none). An undefined first state is zeros. With
/// length 1 it is the step of a decoder. Unfused composition: a step at a time, each from the last one's
/// state.
RecurrentResult recurrent(Context& context, const ops::RecurrentOptions& options, const Variable& x,
                          Parameter& weight, Parameter* bias, const RecurrentVariables& first);

}  // namespace trireme
