#include "parallel/pipeline/engine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "parallel/comm/local_communicator.h"
#include "parallel/comm/thread_communicator.h"
#include "parallel/pipeline/gather_timeline.h"
#include "parallel/pipeline/schedule_check.h"
#include "parallel/step/training_rank.h"
#include "tests/support/test_batch.h"
#include "tests/support/tiny_models.h"

namespace trireme {
namespace {

using comm::run_thread_ranks;
using Kind = Action::Kind;

struct Layout {
  PipelineSchedule schedule;
  int stages;
  int chunks;
};

std::string describe(const Layout& layout) {
  return fmt::format("{}, {} stages, {} chunks", name_of(layout.schedule), layout.stages, layout.chunks);
}

RankOptions options_of(const Layout& layout, int64_t num_micro_batches) {
  RankOptions options;
  options.model = testing::tiny_gpt2();
  options.model.num_layers = 8;
  options.parallel.pipeline_schedule = layout.schedule;
  options.parallel.pipeline_model_parallel_size = layout.stages;
  options.parallel.virtual_pipeline_model_parallel_size = layout.chunks;
  options.micro_batch_size = 4;
  options.global_batch_size = 4 * num_micro_batches;
  options.seq_length = 7;
  return options;
}

/// Wide and deep enough for what the layers keep to outweigh everything else: a message that its receiver has
/// not taken yet counts as an activation too, and how many there are depends on the ranks' pace.
RankOptions wide(RankOptions options) {
  options.model.num_layers = 16;
  options.model.hidden_size = 64;
  options.model.ffn_hidden_size = 256;
  options.model.kv_channels = 32;
  options.model.max_position_embeddings = options.seq_length = 32;
  return options;
}

struct Rank {
  Rank(Communicator& world, const RankOptions& options)
      : length(options.seq_length), training(context, world, options) {}

  Batch batch(int64_t number) {
    return testing::random_batch(context, 4, length, 11, 100 + static_cast<uint64_t>(number), 4 * number);
  }
  void step(int64_t number) {
    int64_t next = 0;
    training.step().run(
        number, [&] { return batch(next++); }, 1e-3, false);
  }
  int64_t activations() const {
    return context.allocator.ledger().current[static_cast<size_t>(MemoryCategory::kActivations)];
  }
  int64_t activation_peak() const {
    return context.allocator.ledger().at_peak[static_cast<size_t>(MemoryCategory::kActivations)];
  }

  Context context;
  int64_t length;
  TrainingRank training;
};

const std::vector<Layout>& layouts() {
  using enum PipelineSchedule;
  static const std::vector<Layout> all = {{kGpipe, 4, 1},       {k1f1b, 4, 1},        {k1f1b, 3, 1},
                                          {kInterleaved, 2, 2}, {kInterleaved, 4, 2}, {kZeroBubble, 4, 1},
                                          {k1f1b, 1, 1}};
  return all;
}

/// Bytes of activations that one micro-batch holds in one chunk.
struct ChunkBytes {
  int64_t until_backward = 0;  ///< from the end of its forward to its backward (of the inputs)
  int64_t until_weight = 0;    ///< from there to the gradients of its weights
  int64_t transient = 0;       ///< while it is computed, beyond until_backward
};

/// Runs the blocks of one chunk alone.
ChunkBytes measure(Rank& rank, int chunk, bool split) {
  Context& context = rank.context;
  Model& model = rank.training.model();
  const StagePlan& plan = rank.training.engine().plan();
  const int stage = plan.virtual_stage(rank.training.mesh().coordinate(Axis::kPipeline), chunk);
  const Batch batch = rank.batch(0);
  ForwardPass pass{.batch = batch};
  const int64_t before = rank.activations();
  context.allocator.reset_peak();
  ChunkBytes bytes;
  {
    std::vector<Variable> inputs, outputs;
    if (stage > 0) {
      Tensor x = context.activation(
          model.boundary_shapes(batch, plan.blocks[static_cast<size_t>(stage)].first)[0], DType::kFloat32);
      std::fill_n(x.data<float>(), x.rows() * x.row_stride(), 0.5f);
      inputs = {Variable::leaf(context, x)};
    }
    outputs = inputs;
    const auto [begin, end] = plan.blocks[static_cast<size_t>(stage)];
    for (size_t i = begin; i < end; ++i) outputs = model.blocks()[i]->forward(context, pass, outputs);
    Tensor gradient = outputs[0].take_value();
    bytes.until_backward =
        rank.activations() - before - (gradient.storage() ? gradient.storage()->size() : 0);
    std::fill_n(gradient.data<float>(), gradient.rows() * gradient.row_stride(), 1.0f);
    context.weight_gradients.delayed = split;
    std::vector<std::pair<Variable, Tensor>> roots;
    roots.emplace_back(std::move(outputs[0]), std::move(gradient));
    outputs.clear();
    backward(context, std::move(roots));
    inputs.clear();
    bytes.until_weight = rank.activations() - before;
    DeferredWork work = std::exchange(context.weight_gradients, {});
    work.drain(context);
  }
  bytes.transient = rank.activation_peak() - before - bytes.until_backward;
  return bytes;
}

/// The most that the stage's actions hold at once, by the sizes of its chunks.
int64_t predict_peak(const std::vector<Action>& actions, const std::vector<ChunkBytes>& chunks) {
  int64_t held = 0, peak = 0;
  for (const Action& action : actions) {
    const ChunkBytes& bytes = chunks[static_cast<size_t>(action.chunk)];
    if (action.kind == Kind::kForward) {
      held += bytes.until_backward;
    } else if (action.kind == Kind::kBackward) {
      peak = std::max(peak, held + bytes.transient);
      held -= bytes.until_backward;
    } else if (action.kind == Kind::kBackwardInput) {
      peak = std::max(peak, held + bytes.transient);
      held += bytes.until_weight - bytes.until_backward;
    } else if (action.kind == Kind::kBackwardWeight) {
      held -= bytes.until_weight;
    }
  }
  return peak;
}

TEST(PipelineEngine, ThePeakOfActivationsIsTheSchedulesWithinFivePercent) {
  for (const Layout& layout : layouts()) {
    run_thread_ranks(layout.stages, [&](Communicator& world) {
      Rank rank(world, wide(options_of(layout, 8)));
      rank.step(1);
      const bool split = layout.schedule == PipelineSchedule::kZeroBubble;
      std::vector<ChunkBytes> chunks;
      for (int chunk = 0; chunk < layout.chunks; ++chunk) chunks.push_back(measure(rank, chunk, split));
      const auto stage = static_cast<size_t>(world.rank());
      const Schedule& schedule = rank.training.engine().schedule();
      const int64_t received_ahead = layout.stages == 1 ? 0 : 4 * 32 * 64 * 4;
      const auto predicted =
          static_cast<double>(predict_peak(schedule.stages[stage], chunks) + received_ahead);
      if (layout.schedule == PipelineSchedule::k1f1b) {
        const double in_flight = check_schedule(schedule).peaks[stage].until_backward;
        EXPECT_DOUBLE_EQ(predicted, in_flight * static_cast<double>(chunks[0].until_backward) +
                                        static_cast<double>(chunks[0].transient + received_ahead));
      }
      rank.context.allocator.reset_peak();
      const int64_t before = rank.activations();
      rank.step(2);
      const auto measured = static_cast<double>(rank.activation_peak() - before);
      EXPECT_NEAR(measured / predicted, 1, 0.05) << describe(layout) << ", stage " << stage << ": measured "
                                                 << measured << ", predicted " << predicted;
      EXPECT_EQ(rank.activations(), before) << "a step left activations behind";
    });
  }
}

TEST(PipelineEngine, MessagesAreOneActivationForEveryBoundaryMicroBatchAndDirection) {
  for (const Layout& layout : layouts()) {
    const int64_t num_micro_batches = 6;
    int64_t total = 0;
    std::mutex mutex;
    run_thread_ranks(layout.stages, [&](Communicator& world) {
      Rank rank(world, options_of(layout, num_micro_batches));
      rank.step(1);
      const auto counters = rank.training.mesh().counters().entries;
      const auto found = counters.find("pipeline/send");
      const std::lock_guard lock(mutex);
      if (found != counters.end()) total += found->second.bytes;
    });
    const int64_t boundaries = layout.stages == 1 ? 0 : layout.stages * layout.chunks - 1;
    EXPECT_EQ(total, 2 * boundaries * num_micro_batches * 4 * 7 * 8 * 4) << describe(layout);
  }
}

TEST(PipelineEngine, GradientsAreReducedWhileTheLastBackwardRuns) {
  for (const Layout& layout : layouts()) {
    run_thread_ranks(2 * layout.stages, [&](Communicator& world) {
      RankOptions options = options_of(layout, 6);
      options.parallel.bucket_size_mb = 1e-3;
      Rank rank(world, options);
      rank.step(1);
      // All but those of a tied embedding, which is summed over its stages first.
      const ParameterLayout& flat = rank.training.store().layout();
      const auto& buckets = rank.training.buckets().buckets();
      const auto num_whole = std::count_if(buckets.begin(), buckets.end(), [&](const FlatRange& bucket) {
        return bucket.end <= flat.offset(flat.num_whole());
      });
      EXPECT_GT(num_whole, 1);
      EXPECT_EQ(rank.training.buckets().num_overlapped(), num_whole) << describe(layout);
    });
  }
}

TEST(PipelineEngine, EvaluationSumsTheLossesOfOneRankOverAllStages) {
  const auto evaluate = [](Communicator& world, const Layout& layout, int64_t num_batches) {
    RankOptions options = options_of(layout, 2);
    options.precision.dtype = Precision::kFp64;
    Rank rank(world, options);
    int64_t next = 0;
    const LossSum share =
        rank.training.engine().evaluate(num_batches, [&] { return rank.batch(next++); })[LossTerm::kTokens];
    Tensor sums = rank.context.zeros({2}, DType::kFloat64, MemoryCategory::kWorkspace);
    sums.data<double>()[0] = share.sum;
    sums.data<double>()[1] = static_cast<double>(share.count);
    world.all_reduce(sums, ReduceOp::kSum);
    EXPECT_TRUE(rank.context.training);
    EXPECT_EQ(rank.activations(), 0);
    return std::pair(sums.data<double>()[0], sums.data<double>()[1]);
  };
  for (const int64_t num_batches : {0, 1, 5, 9}) {
    comm::LocalCommunicator local;
    const auto alone = evaluate(local, {PipelineSchedule::k1f1b, 1, 1}, num_batches);
    EXPECT_EQ(alone.second, static_cast<double>(num_batches * (28 - 5)));
    for (const Layout& layout : layouts()) {
      run_thread_ranks(layout.stages, [&](Communicator& world) {
        const auto sums = evaluate(world, layout, num_batches);
        EXPECT_NEAR(sums.first, alone.first, 1e-10 * std::abs(alone.first)) << describe(layout);
        EXPECT_EQ(sums.second, alone.second) << describe(layout);
      });
    }
  }
}

TEST(PipelineEngine, TheTimelineHasEveryActionInOrder) {
  const Layout layout{PipelineSchedule::kZeroBubble, 2, 1};
  run_thread_ranks(2, [&](Communicator& world) {
    Rank rank(world, options_of(layout, 3));
    rank.step(1);
    rank.step(2);
    const Timeline& timeline = rank.training.engine().timeline();
    const auto& actions = rank.training.engine().schedule().stages[static_cast<size_t>(world.rank())];
    ASSERT_EQ(timeline.size(), actions.size());
    double last = timeline[0].begin;
    for (size_t i = 0; i < actions.size(); ++i) {
      EXPECT_EQ(timeline[i].action, actions[i]);
      EXPECT_EQ(timeline[i].rank, world.rank());
      EXPECT_LE(last, timeline[i].begin);
      EXPECT_LE(timeline[i].begin, timeline[i].end);
      last = timeline[i].end;
    }
  });
}

TEST(PipelineEngine, TheTimelinesOfAllRanksMeetOnOneClock) {
  const Layout layout{PipelineSchedule::k1f1b, 3, 1};
  run_thread_ranks(3, [&](Communicator& world) {
    Rank rank(world, options_of(layout, 4));
    rank.step(1);
    const Timeline timeline = gather_timeline(world, rank.training.engine().timeline());
    EXPECT_EQ(stages_of(timeline), (std::map<int, int>{{0, 0}, {1, 1}, {2, 2}}));
    EXPECT_EQ(span_of(timeline).begin, 0);
    // What one stage sends the next has not received before.
    const auto event = [&](int stage, const Action& action) {
      return *std::find_if(timeline.begin(), timeline.end(), [&](const TimelineEvent& candidate) {
        return candidate.stage == stage && candidate.action == action;
      });
    };
    for (int stage = 0; stage < 2; ++stage)
      EXPECT_LT(event(stage, {Kind::kForward, 3, 0}).end,
                event(stage + 1, {Kind::kReceiveForward, 3, 0}).end + 1e-3);
  });
}

}  // namespace
}  // namespace trireme
