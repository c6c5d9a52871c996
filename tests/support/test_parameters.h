#pragma once

#include <memory>
#include <vector>

#include "core/nn/parameters.h"
#include "core/optim/parameter_store.h"
#include "tests/support/gradient_check.h"

namespace trireme::testing {

/// Parameters with random values around `center`, in a store of their own.
class TestParameters {
 public:
  explicit TestParameters(Precision precision = Precision::kFp64) { precision_.dtype = precision; }

  Parameter& add(const std::string& name, const Shape& shape) {
    owned_.push_back(std::make_unique<Parameter>(nn::whole_parameter(name, shape, nn::zeros(), true)));
    return *owned_.back();
  }
  /// After the last add().
  void allocate(Context& context, double center = 0.0, double std = 1.0) {
    store_ = std::make_unique<ParameterStore>(context, ParameterLayout(all(), precision_));
    uint64_t seed = 100;
    for (const auto& parameter : owned_) {
      fill_normal(parameter->value, ++seed, std);
      if (parameter->value.dtype() == DType::kFloat64)
        for (int64_t row = 0; row < parameter->value.rows(); ++row)
          for (int64_t col = 0; col < parameter->value.cols(); ++col)
            parameter->value.row<double>(row)[col] += center;
    }
  }
  std::vector<Parameter*> all() const {
    std::vector<Parameter*> parameters;
    for (const auto& parameter : owned_) parameters.push_back(parameter.get());
    return parameters;
  }
  ParameterStore& store() { return *store_; }

 private:
  PrecisionConfig precision_;
  std::vector<std::unique_ptr<Parameter>> owned_;
  std::unique_ptr<ParameterStore> store_;
};

}  // namespace trireme::testing
