#include "core/nn/plain_linear.h"

#include "core/autograd/functions/linear.h"
#include "core/nn/parameters.h"

namespace trireme::nn {

PlainLinear::PlainLinear(const ColumnLinearSpec& spec) {
  std::vector<std::pair<std::string, Shape>> weights, biases;
  for (const OutputPiece& piece : spec.outputs) {
    weights.emplace_back(piece.name + ".weight", Shape{piece.features, spec.in_features});
    biases.emplace_back(piece.name + ".bias", Shape{piece.features});
  }
  weight_ = packed_parameter(spec.name + ".weight", weights, spec.init, true);
  if (spec.bias) bias_ = packed_parameter(spec.name + ".bias", biases, zeros(), false);
}

void PlainLinear::collect(std::vector<Parameter*>& parameters) {
  parameters.push_back(&weight_);
  if (bias_) parameters.push_back(&*bias_);
}

Variable PlainLinear::forward(Context& context, const Variable& x) {
  return linear(context, x, weight_, bias_ ? &*bias_ : nullptr);
}

}  // namespace trireme::nn
