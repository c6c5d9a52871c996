#include "core/ops/activation.h"

#include "tests/support/op_cases/row_case.h"

namespace trireme::testing {
namespace {

using ops::Activation;

void add_activation(std::vector<OpCase>& cases, const Extent& extent, Activation activation,
                    const std::string& name) {
  const Shape shape = extent.shape();
  const bool padded = extent.padded;
  cases.push_back(row_case(
      "activation_forward", extent, 1, 2,
      [=](Context& context, DType dtype, DType storage, uint64_t seed) {
        // Three standard deviations of 3 reach where the function is flat.
        Tensor x = random_tensor(context, shape, dtype, storage, seed, padded, 3.0);
        Tensor y = random_tensor(context, shape, dtype, storage, seed + 1);
        return OpRun{
            [=](Context& run_context) mutable { ops::activation_forward(run_context, activation, x, y); },
            {{"y", y}}};
      },
      ", " + name));
  cases.push_back(row_case(
      "activation_backward", extent, 1, 3,
      [=](Context& context, DType dtype, DType storage, uint64_t seed) {
        Tensor x = random_tensor(context, shape, dtype, storage, seed, padded, 3.0);
        Tensor d = random_tensor(context, shape, dtype, storage, seed + 1, padded);
        return OpRun{
            [=](Context& run_context) mutable { ops::activation_backward(run_context, activation, d, x, d); },
            {{"d_x over d_y", d}}};
      },
      ", " + name));
}

void add_swiglu(std::vector<OpCase>& cases, const Extent& extent) {
  const Shape half = extent.shape(), both = {extent.rows, 2 * extent.cols};
  const bool padded = extent.padded;
  cases.push_back(row_case(
      "swiglu_forward", extent, 1, 3, [=](Context& context, DType dtype, DType storage, uint64_t seed) {
        Tensor gate_up = random_tensor(context, both, dtype, storage, seed, padded, 3.0);
        Tensor y = random_tensor(context, half, dtype, storage, seed + 1);
        return OpRun{[=](Context& run_context) mutable { ops::swiglu_forward(run_context, gate_up, y); },
                     {{"y", y}}};
      }));
  cases.push_back(row_case(
      "swiglu_backward", extent, 1, 5, [=](Context& context, DType dtype, DType storage, uint64_t seed) {
        Tensor gate_up = random_tensor(context, both, dtype, storage, seed, padded, 3.0);
        Tensor d_y = random_tensor(context, half, dtype, storage, seed + 1);
        Tensor d_gate_up = random_tensor(context, both, dtype, storage, seed + 2, padded);
        return OpRun{
            [=](Context& run_context) mutable { ops::swiglu_backward(run_context, d_y, gate_up, d_gate_up); },
            {{"d_gate_up", d_gate_up}}};
      }));
}

}  // namespace

std::vector<OpCase> activation_cases() {
  std::vector<OpCase> cases;
  for (const Extent& extent : row_extents()) {
    add_activation(cases, extent, Activation::kGeluTanh, "gelu tanh");
    add_activation(cases, extent, Activation::kGeluErf, "gelu erf");
    add_activation(cases, extent, Activation::kRelu, "relu");
    add_activation(cases, extent, Activation::kSigmoid, "sigmoid");
    add_activation(cases, extent, Activation::kTanh, "tanh");
    add_swiglu(cases, extent);
  }
  return cases;
}

}  // namespace trireme::testing
