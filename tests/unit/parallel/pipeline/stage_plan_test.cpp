#include "parallel/pipeline/stage_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/models/registry.h"
#include "core/nn/plain_layer_builder.h"
#include "tests/support/tiny_models.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kLength = 7;

std::unique_ptr<Model> make_model(ModelConfig config, int64_t num_layers) {
  config.num_layers = num_layers;
  Context context;
  nn::PlainLayerBuilder builder;
  return make_model(config, builder);
}

ParallelConfig stages(int64_t num_stages, int64_t num_chunks = 1, std::vector<int64_t> layout = {}) {
  ParallelConfig config;
  config.pipeline_model_parallel_size = num_stages;
  config.virtual_pipeline_model_parallel_size = num_chunks;
  config.pipeline_layout = std::move(layout);
  return config;
}

/// Blocks of every virtual stage.
std::vector<int> sizes_of(const StagePlan& plan) {
  std::vector<int> sizes;
  for (const auto& [begin, end] : plan.blocks) sizes.push_back(static_cast<int>(end - begin));
  return sizes;
}

std::string refusal_of(const Model& model, const ParallelConfig& config) {
  try {
    plan_stages(model, config, kLength);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

double largest_share(const Model& model, const std::vector<std::pair<size_t, size_t>>& blocks) {
  double largest = 0;
  for (const auto& [begin, end] : blocks) {
    double sum = 0;
    for (size_t i = begin; i < end; ++i) sum += model.blocks()[i]->products_per_token(kLength);
    largest = std::max(largest, sum);
  }
  return largest;
}

/// The least largest share over all cuts of [begin, count) into `parts` ranges: by trying them all.
double brute_force(const Model& model, size_t begin, int parts) {
  const size_t count = model.blocks().size();
  if (parts == 1) return largest_share(model, {{begin, count}});
  double best = 1e300;
  for (size_t end = begin + 1; end + static_cast<size_t>(parts) - 1 <= count; ++end)
    best = std::min(best, std::max(largest_share(model, {{begin, end}}), brute_force(model, end, parts - 1)));
  return best;
}

TEST(StagePlan, EveryBlockHasOnePlaceAndTheSlowestStageIsAsFastAsItCanBe) {
  for (int64_t vocabulary : {11, 400, 5000}) {
    ModelConfig config = testing::tiny_llama();
    config.vocab_size = vocabulary;
    const auto model = make_model(config, 7);
    for (int parts = 1; parts <= 9; ++parts) {
      const StagePlan plan = plan_stages(*model, stages(parts), kLength);
      ASSERT_EQ(plan.blocks.size(), static_cast<size_t>(parts));
      size_t next = 0;
      for (const auto& [begin, end] : plan.blocks) {
        EXPECT_EQ(begin, next);
        EXPECT_LT(begin, end);
        next = end;
      }
      EXPECT_EQ(next, model->blocks().size());
      EXPECT_DOUBLE_EQ(largest_share(*model, plan.blocks), brute_force(*model, 0, parts));
    }
  }
}

TEST(StagePlan, EmbeddingAndHeadAreCounted) {
  // A layer of GPT-2 124M has 7.1 M products a token and 0.8 M more in attention over 1024 positions, the
  // head 38.6 M: five layers.
  ModelConfig config;
  config.vocab_size = 50304;
  config.resolve(0, 1024);
  const auto model = make_model(config, 12);
  EXPECT_EQ(sizes_of(plan_stages(*model, stages(2), 1024)), (std::vector<int>{9, 5}));
  EXPECT_EQ(sizes_of(plan_stages(*model, stages(3), 1024)), (std::vector<int>{6, 6, 2}));
  EXPECT_EQ(sizes_of(plan_stages(*model, stages(4), 1024)), (std::vector<int>{5, 4, 4, 1}));
}

TEST(StagePlan, LayersAreCutAsTheLayoutSays) {
  const auto model = make_model(testing::tiny_gpt2(), 6);
  EXPECT_EQ(sizes_of(plan_stages(*model, stages(2, 1, {1, 5}), kLength)), (std::vector<int>{2, 6}));
  EXPECT_EQ(sizes_of(plan_stages(*model, stages(2, 2, {0, 3, 3, 0}), kLength)),
            (std::vector<int>{1, 3, 3, 1}));
}

TEST(StagePlan, CutsThatCannotBeAreRefusedWithTheArithmetic) {
  const auto model = make_model(testing::tiny_gpt2(), 6);
  EXPECT_THAT(refusal_of(*model, stages(5, 2)),
              HasSubstr("5 pipeline stages x 2 chunks = 10 virtual stages, but the model has 8 blocks"));
  EXPECT_THAT(refusal_of(*model, stages(5, 2)), HasSubstr("use at most 4 stages with 2 chunks, or 8 layers"));
  EXPECT_EQ(refusal_of(*model, stages(4, 2)), "accepted");
  EXPECT_THAT(refusal_of(*model, stages(2, 1, {1, 2, 3})), HasSubstr("has 3 entries; there are 2 virtual"));
  EXPECT_THAT(refusal_of(*model, stages(2, 1, {2, 3})), HasSubstr("has 5 layers in all; the model has 6"));
  EXPECT_THAT(refusal_of(*model, stages(3, 1, {3, 0, 3})), HasSubstr("entry 2 is 0"));
  EXPECT_THAT(refusal_of(*model, stages(2, 1, {-1, 7})), HasSubstr("entry 1 is -1"));
}

TEST(StagePlan, StagesHoldTheirParametersAndShareATiedEmbedding) {
  const auto model = make_model(testing::tiny_gpt2(), 4);
  const StagePlan plan = plan_stages(*model, stages(2, 2), kLength);
  place_shared_parameters(*model, plan);
  std::vector<Parameter*> all;
  for (int stage = 0; stage < 2; ++stage)
    for (Parameter* parameter : stage_parameters(*model, plan, stage)) all.push_back(parameter);
  EXPECT_EQ(all.size(), model->parameters().size() + 1);
  for (Parameter* parameter : model->parameters()) {
    const bool tied = parameter->name == "embedding.word.weight";
    EXPECT_EQ(std::count(all.begin(), all.end(), parameter), tied ? 2 : 1) << parameter->name;
    EXPECT_EQ(parameter->has_partial_gradient(), tied) << parameter->name;
  }
}

TEST(StagePlan, OneStageSharesNothing) {
  const auto model = make_model(testing::tiny_gpt2(), 4);
  const StagePlan plan = plan_stages(*model, stages(1, 3), kLength);
  place_shared_parameters(*model, plan);
  EXPECT_EQ(stage_parameters(*model, plan, 0), model->parameters());
  for (Parameter* parameter : model->parameters()) EXPECT_FALSE(parameter->has_partial_gradient());
}

}  // namespace
}  // namespace trireme
