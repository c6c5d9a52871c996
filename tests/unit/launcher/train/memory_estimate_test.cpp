// What is predicted of a rank's memory against what the ledger counts.
#include "launcher/train/memory_estimate.h"

#include <gtest/gtest.h>

#include "core/data/sample_source.h"
#include "launcher/config/load.h"
#include "launcher/config/rank_options.h"
#include "parallel/comm/local_communicator.h"
#include "parallel/step/training_rank.h"

namespace trireme {
namespace {

constexpr const char* kRun =
    "model: {num_layers: 4, hidden_size: 96, vocab_size: 100, hidden_dropout: 0}\n"
    "data: {source: synthetic, seq_length: 64, pad_to_seq_length: true}\n"
    "training: {micro_batch_size: 4, num_threads: 1, output_dir: nowhere}\n"
    "optimizer: {optimizer: sgd, sgd_momentum: 0.0}\n";

struct Bytes {
  double predicted = 0, counted = 0;
};

/// Of activations at the peak of a step.
Bytes activations(const std::vector<std::string>& settings) {
  const RunPlan plan = plan_run(parse_run_config(kRun, "run.yaml", settings), 1);
  comm::LocalCommunicator world;
  Context context;
  TrainingRank rank(context, world, rank_options(plan.config));
  const auto source = make_training_source(plan.config.data, plan.needs, 1);
  const auto step = [&](int64_t number) {
    rank.step().run(
        number,
        [&] {
          return source->make_batch(context.allocator, std::vector<int64_t>{0, 1, 2, 3});
        },
        1e-3, false);
  };
  step(1);
  context.allocator.reset_peak();
  step(2);
  const auto counted = context.allocator.ledger().at_peak[static_cast<size_t>(MemoryCategory::kActivations)];
  return {static_cast<double>(
              estimate_memory(plan.config, plan.batch, rank.model().num_parameters()).activations),
          static_cast<double>(counted)};
}

TEST(MemoryEstimate, OfActivationsIsWithinAThirdOfWhatTheLedgerCounts) {
  const std::vector<std::vector<std::string>> runs = {
      {"pad_to_seq_length=false", "num_attention_heads=4"},
      {"pad_to_seq_length=false", "num_attention_heads=4", "recompute_granularity=selective"},
      {"model.family=bert", "num_attention_heads=4"},
      {"model.family=transformer", "num_attention_heads=4"},
      {"model.family=recurrent"},
      {"model.family=recurrent", "recurrent_cell=lstm", "recurrent_norm=true"},
      {"model.family=recurrent", "recurrent_cell=rnn", "bidirectional_encoder=true"},
      {"model.family=recurrent", "recurrent_attention=dot", "num_layers=2"},
      {"model.family=recurrent", "recurrent_attention=additive", "attention_context=output"},
      {"model.family=recurrent", "hidden_dropout=0.1", "precision.dtype=bf16"},
      {"model.family=recurrent", "recompute_granularity=full"}};
  for (const auto& settings : runs) {
    const Bytes bytes = activations(settings);
    std::string what;
    for (const std::string& setting : settings) what += setting + " ";
    std::printf("%s: predicted %.0f, counted %.0f: %.2f\n", what.c_str(), bytes.predicted, bytes.counted,
                bytes.predicted / bytes.counted);
    EXPECT_GE(bytes.predicted / bytes.counted, 2.0 / 3) << what;
    EXPECT_LE(bytes.predicted / bytes.counted, 4.0 / 3) << what;
  }
}

}  // namespace
}  // namespace trireme
