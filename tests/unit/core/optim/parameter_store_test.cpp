#include "core/optim/parameter_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "core/ops/elementwise.h"
#include "core/optim/optimizer.h"
#include "tests/support/tiny_models.h"

namespace trireme::testing {
namespace {

TEST(ParameterStore, HoldsParametersInTheReverseOfTheForwardPass) {
  Context context;
  TinyModel tiny(context, tiny_gpt2(), Precision::kFp32);
  std::vector<Parameter*> expected = tiny.model->parameters();
  std::reverse(expected.begin(), expected.end());
  EXPECT_EQ(tiny.store->parameters(), expected);
}

TEST(ParameterStore, StartsEveryParameterAtACacheLineInEveryType) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kFp64}) {
    Context context;
    TinyModel tiny(context, tiny_gpt2(), precision);
    for (const Parameter* parameter : tiny.store->parameters())
      for (const Tensor* tensor : {&parameter->value, &parameter->master, &parameter->gradient})
        EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor->raw()) % 64, 0u) << parameter->name;
  }
}

TEST(ParameterStore, SharesValuesAndMastersWhereTheirTypesAgree) {
  Context context;
  const TinyModel fp32(context, tiny_gpt2(), Precision::kFp32), bf16(context, tiny_gpt2(), Precision::kBf16);
  EXPECT_FALSE(fp32.store->has_masters());
  EXPECT_EQ(fp32.store->values().raw(), fp32.store->masters().raw());
  EXPECT_TRUE(bf16.store->has_masters());
  EXPECT_EQ(bf16.store->values().dtype(), DType::kBFloat16);
  EXPECT_EQ(bf16.store->masters().dtype(), DType::kFloat32);
  EXPECT_EQ(bf16.store->gradients().dtype(), DType::kFloat32);
}

/// Elements of the flat tensors that belong to no parameter.
int64_t count_non_zero_gaps(const ParameterStore& store, const Tensor& flat) {
  int64_t non_zero = 0;
  for (size_t i = 0; i < store.parameters().size(); ++i) {
    const Tensor view = store.view(flat, i);
    for (int64_t row = 0; row + 1 < view.rows(); ++row)
      for (int64_t col = view.cols(); col < view.row_stride(); ++col)
        non_zero += view.row<float>(row)[col] != 0;
  }
  return non_zero;
}

TEST(ParameterStore, PadsTheRowsOfWideFloat32MatricesAndKeepsTheGapsZero) {
  ModelConfig config = tiny_gpt2();
  config.hidden_size = 256;
  config.ffn_hidden_size = config.kv_channels = 0;
  config.resolve(0, 7);
  Context context;
  TinyModel fp32(context, config, Precision::kFp32), bf16(context, config, Precision::kBf16);
  EXPECT_EQ(bf16.model->parameters()[0]->value.row_stride(), 256);
  EXPECT_EQ(fp32.model->parameters()[0]->value.row_stride(), 272);
  for (const Parameter* parameter : fp32.store->parameters()) {
    EXPECT_EQ(parameter->value.row_stride(), parameter->gradient.row_stride());
    Tensor gradient = parameter->gradient;
    ops::fill(context, gradient, 1.0);
  }
  const auto optimizer = make_optimizer(context, {}, *fp32.store);
  optimizer->step(context, *fp32.store, 0.1, 1, 1.0);
  EXPECT_EQ(count_non_zero_gaps(*fp32.store, fp32.store->values()), 0);
  EXPECT_EQ(count_non_zero_gaps(*fp32.store, fp32.store->gradients()), 0);
}

TEST(ParameterStore, CountsItsMemoryByCategory) {
  Context context;
  const TinyModel bf16(context, tiny_gpt2(), Precision::kBf16);
  const auto& current = context.allocator.ledger().current;
  const int64_t count = bf16.store->num_elements();
  EXPECT_GE(current[static_cast<size_t>(MemoryCategory::kWeights)], 2 * count);
  EXPECT_GE(current[static_cast<size_t>(MemoryCategory::kGradients)], 4 * count);
  EXPECT_GE(current[static_cast<size_t>(MemoryCategory::kOptimizer)], 4 * count);
}

TEST(ParameterStore, CoversEveryElementWithDecayRangesOnce) {
  Context context;
  TinyModel tiny(context, tiny_gpt2(), Precision::kFp32);
  int64_t end = 0;
  for (const DecayRange& group : tiny.store->layout().decay_ranges()) {
    EXPECT_EQ(group.range.begin, end);
    end = group.range.end;
    for (size_t i = 0; i < tiny.store->parameters().size(); ++i)
      if (intersection(tiny.store->layout().range(i), group.range).length() > 0) {
        EXPECT_EQ(tiny.store->parameters()[i]->weight_decay, group.weight_decay);
      }
  }
  EXPECT_EQ(end, tiny.store->num_elements());
}

TEST(ParameterStore, PutsValuesAndGradientsWhereItIsTold) {
  Context context;
  nn::PlainLayerBuilder builder;
  const auto model = make_model(tiny_gpt2(), builder);
  const ParameterLayout layout(model->parameters(), {});
  std::map<MemoryCategory, std::shared_ptr<Storage>> given;
  const ParameterStore store(
      context, layout, {{0, layout.num_elements()}}, [&](int64_t bytes, MemoryCategory category) {
        return given[category] = context.zeros({bytes}, DType::kUInt8, category).storage();
      });
  EXPECT_EQ(store.gradients().storage(), given[MemoryCategory::kGradients]);
  EXPECT_EQ(store.values().storage(), given[MemoryCategory::kWeights]);
}

}  // namespace
}  // namespace trireme::testing
