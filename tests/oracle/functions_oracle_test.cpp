// Recurrent layers, BatchNorm, complex-valued embeddings and tables of positions against PyTorch and
// Transformers: make_function_fixtures.py wrote what they compute.

#include <gtest/gtest.h>

#include "core/autograd/functions/batch_norm.h"
#include "core/autograd/functions/complex_embedding.h"
#include "core/autograd/functions/linear.h"
#include "core/autograd/functions/recurrent.h"
#include "core/io/safetensors.h"
#include "core/ops/elementwise.h"
#include "core/ops/sinusoid.h"
#include "tests/support/paths.h"
#include "tests/support/test_parameters.h"

namespace trireme::testing {
namespace {

constexpr int64_t kBatch = 4, kLength = 7, kInput = 5, kHidden = 6;

/// In float64 and, with room for its rounding, in float32.
class FunctionsOracle : public ::testing::TestWithParam<Precision> {
 protected:
  FunctionsOracle() : file_(test_folder() + "/oracle/functions.safetensors"), parameters_(GetParam()) {
    PrecisionConfig precision;
    precision.dtype = GetParam();
    dtype_ = precision.compute();
    bound_ = GetParam() == Precision::kFp64 ? 1e-12 : 2e-5;
  }
  Tensor raw(const std::string& name) { return file_.read(context_, name, MemoryCategory::kWorkspace); }
  Tensor read(const std::string& name) {
    const Tensor stored = raw(name);
    Tensor result = context_.workspace(stored.shape(), dtype_);
    ops::cast(context_, stored, result);
    return result;
  }
  Tensor matrix(const std::string& name, int64_t rows) { return read(name).reshape({rows, -1}); }
  Parameter& add(const std::string& name) { return parameters_.add(name, raw(name).shape()); }
  void allocate() {
    parameters_.allocate(context_);
    for (Parameter* parameter : parameters_.all())
      ops::cast(context_, raw(parameter->name), parameter->value);
  }
  void expect_equal(const Tensor& given, const Tensor& expected, const std::string& name) {
    ASSERT_EQ(given.num_elements(), expected.num_elements()) << name;
    for (int64_t i = 0; i < given.num_elements(); ++i)
      ASSERT_NEAR(element(given, i), element(expected, i), bound_) << name << ", element " << i;
  }
  /// Gradients in the file stand beside their parameters, with `d_` before the last part of the name.
  void expect_gradients() {
    for (Parameter* parameter : parameters_.all()) {
      const size_t slash = parameter->name.rfind('/') + 1;
      const std::string name = parameter->name.substr(0, slash) + "d_" + parameter->name.substr(slash);
      expect_equal(parameter->gradient, raw(name), name);
    }
  }

  Context context_;
  SafetensorsFile file_;
  TestParameters parameters_;
  DType dtype_;
  double bound_;
};

class RecurrentOracle : public FunctionsOracle {
 protected:
  struct Direction {
    Parameter &input_weight, &input_bias, &weight, &bias;
  };
  Direction add_direction(const std::string& kind, bool reverse) {
    const std::string end = reverse ? "_l0_reverse" : "_l0";
    return {add(kind + "/weight_ih" + end), add(kind + "/bias_ih" + end), add(kind + "/weight_hh" + end),
            add(kind + "/bias_hh" + end)};
  }

  void expect_pytorchs(const std::string& name, ops::RecurrentKind kind) {
    const bool has_cell = kind == ops::RecurrentKind::kLstm;
    const Direction directions[] = {add_direction(name, false), add_direction(name, true)};
    allocate();
    const Variable x = Variable::leaf(context_, matrix(name + "/x", kBatch * kLength));
    const Tensor d_out = matrix(name + "/d_out", kBatch * kLength);
    std::vector<std::pair<Variable, Tensor>> roots;
    std::vector<RecurrentVariables> firsts;
    for (int64_t i = 0; i < 2; ++i) {
      const auto state = [&](const std::string& part) {
        return read(name + "/" + part).slice(0, i, 1).reshape({kBatch, kHidden});
      };
      RecurrentVariables first{Variable::leaf(context_, state("first_hidden"))};
      if (has_cell) first.cell = Variable::leaf(context_, state("first_cell"));
      firsts.push_back(first);
      const Direction& of = directions[i];
      const Variable projected = linear(context_, x, of.input_weight, &of.input_bias);
      const RecurrentResult result =
          recurrent(context_, {kind, kBatch, kLength, kHidden, i == 1, raw("lengths")}, projected, of.weight,
                    &of.bias, first);
      expect_equal(result.out.value(),
                   clone(context_, matrix(name + "/out", kBatch * kLength).slice(1, i * kHidden, kHidden)),
                   name + " out");
      expect_equal(result.last.hidden.value(), state("last_hidden"), name + " last hidden");
      roots.emplace_back(result.out, d_out.slice(1, i * kHidden, kHidden));
      roots.emplace_back(result.last.hidden, state("d_last_hidden"));
      if (!has_cell) continue;
      expect_equal(result.last.cell.value(), state("last_cell"), name + " last cell");
      roots.emplace_back(result.last.cell, state("d_last_cell"));
    }
    backward(context_, std::move(roots));
    expect_equal(x.gradient(), read(name + "/d_x"), name + " d_x");
    for (int64_t i = 0; i < 2; ++i) {
      const auto gradient = [&](const std::string& part) { return read(name + "/" + part).slice(0, i, 1); };
      expect_equal(firsts[i].hidden.gradient(), gradient("d_first_hidden"), name + " d_first_hidden");
      if (has_cell) expect_equal(firsts[i].cell.gradient(), gradient("d_first_cell"), name + " d_first_cell");
    }
    expect_gradients();
  }
};

TEST_P(RecurrentOracle, RnnWithTanhInBothDirections) {
  expect_pytorchs("rnn_tanh", ops::RecurrentKind::kRnnTanh);
}
TEST_P(RecurrentOracle, RnnWithReluInBothDirections) {
  expect_pytorchs("rnn_relu", ops::RecurrentKind::kRnnRelu);
}
TEST_P(RecurrentOracle, GruInBothDirections) {
  expect_pytorchs("gru", ops::RecurrentKind::kGru);
}
TEST_P(RecurrentOracle, LstmInBothDirections) {
  expect_pytorchs("lstm", ops::RecurrentKind::kLstm);
}

TEST_P(FunctionsOracle, BatchNormInTrainingAndInference) {
  BatchNormParameters norm{.weight = &parameters_.add("batch_norm/weight", {5}),
                           .bias = &parameters_.add("batch_norm/bias", {5})};
  allocate();
  norm.running_mean = context_.zeros({5}, dtype_, MemoryCategory::kActivations);
  norm.running_variance = context_.zeros({5}, dtype_, MemoryCategory::kActivations);
  ops::fill(context_, norm.running_variance, 1.0);
  const Tensor counted = raw("batch_norm/counted");
  for (const char* step : {"0", "1"}) {
    const auto name = [&](const char* part) { return std::string("batch_norm/") + step + "/" + part; };
    const Variable x = Variable::leaf(context_, read(name("x")));
    const Variable y = batch_norm(context_, norm, x, counted);
    expect_equal(y.value(), read(name("y")), name("y"));
    backward(context_, {{y, read(name("d_y"))}});
    expect_equal(x.gradient(), read(name("d_x")), name("d_x"));
    expect_equal(norm.weight->gradient, raw(name("d_weight")), name("d_weight"));
    expect_equal(norm.bias->gradient, raw(name("d_bias")), name("d_bias"));
    expect_equal(norm.running_mean, raw(name("running_mean")), name("running_mean"));
    expect_equal(norm.running_variance, raw(name("running_variance")), name("running_variance"));
    parameters_.store().begin_accumulation();
  }
  context_.training = false;
  const Variable y = batch_norm(context_, norm, Variable(read("batch_norm/1/x")), Tensor());
  expect_equal(y.value(), raw("batch_norm/inference"), "inference");
}

TEST_P(FunctionsOracle, ComplexEmbedding) {
  const ComplexTables tables{add("complex/amplitude"), add("complex/frequency"), add("complex/phase")};
  allocate();
  const Variable y = complex_embedding(context_, tables, raw("complex/ids"), raw("complex/positions"));
  expect_equal(y.value(), read("complex/out"), "out");
  backward(context_, {{y, read("complex/d_out")}});
  if (GetParam() == Precision::kFp32) bound_ *= 40;  // positions of 40 in front of the frequencies' gradient
  expect_gradients();
}

TEST_P(FunctionsOracle, MariansPositions) {
  Tensor positions = context_.workspace({9}, DType::kInt32);
  for (int32_t i = 0; i < 9; ++i) positions.data<int32_t>()[i] = i;
  bound_ = 1e-7;  // the table is float32
  Tensor out = context_.workspace({9, 8}, dtype_);
  ops::sinusoid_rows(ops::SinusoidForm::kConcatenated, positions, out);
  expect_equal(out, raw("marian"), "positions");
}

INSTANTIATE_TEST_SUITE_P(Precisions, FunctionsOracle, ::testing::Values(Precision::kFp64, Precision::kFp32),
                         [](const auto& info) { return info.param == Precision::kFp64 ? "Fp64" : "Fp32"; });
INSTANTIATE_TEST_SUITE_P(Precisions, RecurrentOracle, ::testing::Values(Precision::kFp64, Precision::kFp32),
                         [](const auto& info) { return info.param == Precision::kFp64 ? "Fp64" : "Fp32"; });

}  // namespace
}  // namespace trireme::testing
