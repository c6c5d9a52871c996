#include "launcher/train/class_counts.h"

#include <gtest/gtest.h>

#include <numeric>

#include "core/models/registry.h"
#include "core/nn/evaluation_guard.h"
#include "core/ops/elementwise.h"
#include "parallel/comm/local_communicator.h"
#include "parallel/comm/thread_communicator.h"
#include "parallel/step/training_rank.h"

namespace trireme {
namespace {

constexpr int64_t kClasses = 3, kSamples = 64;

RankOptions classifier() {
  RankOptions options;
  options.model = family_named("bert").defaults();
  options.model.num_layers = 2;
  options.model.hidden_size = 8;
  options.model.num_attention_heads = 2;
  options.model.vocab_size = 11;
  options.model.num_classes = kClasses;
  options.model.init_method_std = 0.5;  // so that predictions differ
  options.model.resolve(0, 8);
  options.seq_length = 8;
  options.precision.dtype = Precision::kFp64;
  return options;
}

std::unique_ptr<SampleSource> samples() {
  DataConfig data;
  data.source = DataSource::kSynthetic;
  data.seq_length = 8;
  return make_validation_source(
      data, {.objective = Objective::kClassification, .vocab_size = 11, .num_classes = kClasses}, 5);
}

std::vector<int64_t> confusion_of(Communicator& world) {
  Context context;
  RankOptions options = classifier();
  options.global_batch_size = world.size();
  TrainingRank rank(context, world, options);
  return count_classes(context, rank.model(), rank.mesh(), *samples(), 5, 0, kClasses).counts();
}

/// A sample is predicted to be of the class for which its loss counts it as right, given that label.
std::vector<int64_t> expected_confusion() {
  comm::LocalCommunicator world;
  Context context;
  TrainingRank rank(context, world, classifier());
  const EvaluationGuard evaluation(context);
  ConfusionMatrix confusion(kClasses);
  for (int64_t sample = 0; sample < kSamples; ++sample)
    for (int32_t label = 0; label < kClasses; ++label) {
      const Batch batch = samples()->make_batch(context.allocator, std::vector<int64_t>{sample});
      const int32_t truth = *batch.labels.data<int32_t>();
      Tensor labels = batch.labels;
      *labels.data<int32_t>() = label;
      ForwardPass pass{.batch = batch};
      rank.model().loss(context, pass);
      if (pass.losses[LossTerm::kSamples].right == 1) confusion.add(truth, label);
    }
  return confusion.counts();
}

TEST(ClassCounts, SayWhichClassWasTakenForWhichOverAllRanks) {
  const std::vector<int64_t> expected = expected_confusion();
  EXPECT_EQ(std::accumulate(expected.begin(), expected.end(), int64_t{0}), kSamples);
  EXPECT_GT(expected.at(1) + expected.at(2), 0) << "all predictions are alike";
  comm::LocalCommunicator local;
  EXPECT_EQ(confusion_of(local), expected);
  comm::run_thread_ranks(3, [&](Communicator& world) { EXPECT_EQ(confusion_of(world), expected); });
}

}  // namespace
}  // namespace trireme
