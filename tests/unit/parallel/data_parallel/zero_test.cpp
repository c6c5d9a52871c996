#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/nn/parameters.h"
#include "core/optim/clip.h"
#include "core/optim/optimizer.h"
#include "parallel/comm/thread_communicator.h"
#include "parallel/data_parallel/gradient_buckets.h"
#include "tests/support/gradient_check.h"

namespace trireme::testing {
namespace {

using comm::run_thread_ranks;

struct Case {
  OptimizerKind optimizer;
  Precision precision;
  int num_ranks;
};

/// A data-parallel rank with sizes that no number of ranks divides, in buckets of about 3 kB.
class Replica {
 public:
  Replica(Communicator& world, const Case& chosen, int64_t zero_stage) : mesh_(world, ParallelConfig{}) {
    for (const Shape& shape : {Shape{37, 11}, Shape{1}, Shape{5, 256}, Shape{129}, Shape{64}, Shape{3, 7}})
      parameters.push_back(std::make_unique<Parameter>(nn::whole_parameter(
          fmt::format("p{}", parameters.size()), shape, nn::normal(1.0), shape.size() > 1)));
    std::vector<Parameter*> forward;
    for (const auto& parameter : parameters) forward.push_back(parameter.get());
    PrecisionConfig precision;
    precision.dtype = chosen.precision;
    const ParameterLayout layout(forward, precision);
    const std::vector<FlatRange> plan = plan_buckets(layout, 3000);
    store = std::make_unique<ParameterStore>(
        context, layout, owned_ranges(plan, mesh_.data().rank(), mesh_.data().size(), zero_stage),
        flat_memory(context, mesh_.data(), zero_stage));
    store->initialize(context, 7);
    buckets = std::make_unique<GradientBuckets>(*store, mesh_, plan, zero_stage);
    OptimizerConfig config;
    config.optimizer = chosen.optimizer;
    optimizer = make_optimizer(context, config, *store);
  }

  /// Gradients come from the rank and the step. Returns the global norm, by which they are clipped.
  double step(int64_t number) {
    buckets->begin();
    for (size_t i = 0; i < parameters.size(); ++i)
      fill_gradient(*parameters[i], static_cast<uint64_t>(1000 * number + 100 * mesh_.data().rank()) + i);
    buckets->finish(context);
    Tensor squares = context.workspace({1}, DType::kFloat64);
    squares.data<double>()[0] = buckets->squared_gradient_norm(context);
    mesh_.world().all_reduce(squares, ReduceOp::kSum);
    const double norm = std::sqrt(squares.data<double>()[0]);
    optimizer->step(context, *store, 0.01, number, clip_factor(norm, 1.0));
    buckets->gather_values();
    return norm;
  }

  const Communicator& data() { return mesh_.data(); }

  Context context;
  std::vector<std::unique_ptr<Parameter>> parameters;  ///< outlive what refers to them
  std::unique_ptr<ParameterStore> store;
  std::unique_ptr<GradientBuckets> buckets;
  std::unique_ptr<Optimizer> optimizer;

 private:
  static void fill_gradient(Parameter& parameter, uint64_t seed) {
    parameter.expect();
    parameter.contribute([&](Tensor& gradient, bool) { fill_normal(gradient, seed); });
  }

  Mesh mesh_;
};

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.num_bytes() == b.num_bytes() &&
         std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.num_bytes())) == 0;
}

/// Whether `owned`, the sharded store's part, is what `whole` has in its ranges.
bool same_owned(const ParameterStore& sharded, const Tensor& owned, const Tensor& whole) {
  int64_t begin = 0;
  for (const FlatRange& range : sharded.owned()) {
    if (!same_bits(owned.slice(0, begin, range.length()), whole.slice(0, range.begin, range.length())))
      return false;
    begin += range.length();
  }
  return begin == owned.num_elements();
}

int64_t optimizer_bytes(const Context& context) {
  return context.allocator.ledger().current[static_cast<size_t>(MemoryCategory::kOptimizer)];
}

TEST(Zero1, EqualsZero0BitForBit) {
  for (const OptimizerKind optimizer : {OptimizerKind::kAdamW, OptimizerKind::kSgd})
    for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kFp64})
      for (int num_ranks = 1; num_ranks <= 4; ++num_ranks) {
        SCOPED_TRACE(::testing::Message() << "optimizer " << static_cast<int>(optimizer) << ", precision "
                                          << static_cast<int>(precision) << ", ranks " << num_ranks);
        run_thread_ranks(num_ranks, [&](Communicator& world) {
          const Case chosen{optimizer, precision, num_ranks};
          Replica whole(world, chosen, 0), sharded(world, chosen, 1);
          EXPECT_TRUE(same_bits(whole.store->values(), sharded.store->values())) << "initial values";
          for (int64_t step = 1; step <= 3; ++step) {
            const double norm = whole.step(step);
            EXPECT_GT(norm, 1.0) << "nothing was clipped";
            EXPECT_EQ(sharded.step(step), norm);
            EXPECT_TRUE(same_bits(whole.store->values(), sharded.store->values())) << "step " << step;
          }
          if (whole.store->has_masters()) {
            EXPECT_TRUE(same_owned(*sharded.store, sharded.store->masters(), whole.store->masters()));
          }
          for (size_t i = 0; i < whole.optimizer->state().size(); ++i)
            EXPECT_TRUE(same_owned(*sharded.store, sharded.optimizer->state()[i].flat,
                                   whole.optimizer->state()[i].flat));
        });
      }
}

TEST(Zero1, DividesTheOptimizerStateOverTheDataRanks) {
  std::vector<int64_t> owned(4);
  int64_t num_elements = 0;
  run_thread_ranks(4, [&](Communicator& world) {
    const Case chosen{OptimizerKind::kAdamW, Precision::kBf16, 4};
    const Replica whole(world, chosen, 0), sharded(world, chosen, 1);
    const int64_t count = sharded.store->num_owned();
    owned[static_cast<size_t>(world.rank())] = count;
    if (world.rank() == 0) num_elements = sharded.store->num_elements();
    // Master weights and two moments, float32; the allocator's size classes add a little.
    EXPECT_GE(optimizer_bytes(sharded.context), 12 * count);
    EXPECT_LE(optimizer_bytes(sharded.context), 12 * count * 3 / 2);
    EXPECT_GE(optimizer_bytes(whole.context), 12 * whole.store->num_elements());
    for (const Parameter* parameter : sharded.store->parameters()) EXPECT_FALSE(parameter->master.defined());
  });
  EXPECT_EQ(owned[0] + owned[1] + owned[2] + owned[3], num_elements);
  EXPECT_LT(owned[0], num_elements / 2);
}

int64_t bytes_of(const Communicator& group, const std::string& operation) {
  const auto found = group.counters().entries.find(operation);
  return found == group.counters().entries.end() ? 0 : found->second.bytes;
}

TEST(Zero1, ReducesGradientsOnceAndGathersValuesOnceAStep) {
  run_thread_ranks(2, [](Communicator& world) {
    for (const int64_t stage : {0, 1}) {
      Replica replica(world, {OptimizerKind::kSgd, Precision::kBf16, 2}, stage);
      for (int64_t step = 1; step <= 3; ++step) replica.step(step);
      const int64_t count = replica.store->num_elements();
      EXPECT_EQ(bytes_of(replica.data(), "all_reduce"), stage == 0 ? 3 * 4 * count : 0);
      EXPECT_EQ(bytes_of(replica.data(), "reduce_scatter_slices"), stage == 1 ? 3 * 4 * count : 0);
      EXPECT_EQ(bytes_of(replica.data(), "all_gather_slices"), stage == 1 ? 3 * 2 * count : 0);
    }
  });
}

TEST(Zero1, LeavesTheGapsOfItsBuffersAtZero) {
  run_thread_ranks(3, [](Communicator& world) {
    Replica sharded(world, {OptimizerKind::kAdamW, Precision::kFp32, 3}, 1);
    for (int64_t step = 1; step <= 3; ++step) sharded.step(step);
    const ParameterStore& store = *sharded.store;
    std::vector<char> inside(static_cast<size_t>(store.num_elements()), 0);
    for (size_t i = 0; i < store.parameters().size(); ++i)
      for (int64_t row = 0; row < store.parameters()[i]->value.rows(); ++row)
        std::fill_n(inside.begin() + store.offset(i) + row * store.layout().row_stride(i),
                    store.parameters()[i]->value.cols(), 1);
    for (int64_t i = 0; i < store.num_elements(); ++i)
      if (!inside[static_cast<size_t>(i)]) {
        EXPECT_EQ(store.values().data<float>()[i], 0.0f);
        EXPECT_EQ(store.gradients().data<float>()[i], 0.0f);
      }
  });
}

}  // namespace
}  // namespace trireme::testing
