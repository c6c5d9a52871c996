#pragma once

#include "core/nn/layer_builder.h"

namespace trireme::nn {

/// One matrix [out, in], packed from logical pieces where it has several.
class PlainLinear final : public Linear {
 public:
  explicit PlainLinear(const ColumnLinearSpec& spec);
  void collect(std::vector<Parameter*>& parameters) override;
  Variable forward(Context& context, const Variable& x) override;

 private:
  Parameter weight_;
  std::optional<Parameter> bias_;
};

}  // namespace trireme::nn
