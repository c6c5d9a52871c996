#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <mutex>

#include "core/base/error.h"
#include "parallel/comm/thread_communicator.h"
#include "parallel/data_parallel/gradient_buckets.h"
#include "parallel/data_parallel/replicas.h"
#include "tests/unit/parallel/data_parallel/shared_parameters.h"

namespace trireme::testing {
namespace {

using comm::run_thread_ranks;
using ::testing::HasSubstr;

/// Logical tensor and element, in its global row-major order.
using Place = std::pair<std::string, int64_t>;

/// A small whole number: sums of them are exact in any order.
double contribution(const Place& place, int64_t salt) {
  uint64_t hash =
      site_of(place.first) + 0x9E3779B97F4A7C15u * static_cast<uint64_t>(place.second * 64 + salt);
  hash = (hash ^ (hash >> 29)) * 0xBF58476D1CE4E5B9u;
  return static_cast<double>((hash ^ (hash >> 32)) % 19) - 9.0;
}

/// Whose summand a rank's gradient of a piece is: ranks that hold it with equal gradients give one summand.
int64_t summand_of(const Mesh& mesh, const ParameterPiece& piece) {
  int64_t summand = mesh.coordinate(Axis::kData);
  for (const auto& [axis, placement] : piece.placement)
    if (placement.partial_gradient()) summand = summand * 8 + mesh.coordinate(static_cast<Axis>(axis)) + 1;
  return summand;
}

ParallelConfig config_of(int64_t tensor, int64_t pipeline) {
  ParallelConfig config;
  config.tensor_model_parallel_size = tensor;
  config.pipeline_model_parallel_size = pipeline;
  return config;
}

/// A rank with its buckets; gradients are small whole numbers.
class Holder {
 public:
  Holder(Communicator& world, const ParallelConfig& config, int64_t zero_stage)
      : mesh(world, config), parameters(mesh) {
    PrecisionConfig precision;
    precision.dtype = Precision::kFp64;
    const ParameterLayout layout(parameters.forward_order(), precision);
    const auto plan = plan_buckets(layout, 2000);
    store = std::make_unique<ParameterStore>(
        context, layout, owned_ranges(plan, mesh.data().rank(), mesh.data().size(), zero_stage),
        flat_memory(context, mesh.data(), zero_stage));
    store->initialize(context, 3);
    buckets = std::make_unique<GradientBuckets>(*store, mesh, plan, zero_stage);
  }

  /// Calls visit(parameter, piece, place in it, row of the tensor's storage, column).
  template <class Visit>
  void for_each_number(Visit visit) const {
    for (Parameter* parameter : store->parameters())
      for (const ParameterPiece& piece : parameter->pieces) {
        const int64_t cols = piece.extent.back(), rows = num_elements(piece.extent) / cols;
        const bool vector = piece.extent.size() == 1;
        for (int64_t row = 0; row < rows; ++row)
          for (int64_t col = 0; col < cols; ++col) {
            const int64_t global_row = vector ? 0 : row + piece.offset[0];
            const Place place{piece.name, global_row * piece.global_shape.back() + col + piece.offset.back()};
            visit(*parameter, piece, place,
                  parameter->gradient.row<double>(vector ? 0 : row + piece.storage_row)[col]);
          }
      }
  }

  void step() {
    buckets->begin();
    for (Parameter* parameter : store->parameters()) {
      parameter->expect();
      parameter->contribute([](Tensor&, bool) {});
    }
    for_each_number([&](const Parameter&, const ParameterPiece& piece, const Place& place, double& gradient) {
      gradient = contribution(place, summand_of(mesh, piece));
    });
    buckets->finish(context);
  }

  Context context;
  Mesh mesh;
  SharedParameters parameters;
  std::unique_ptr<ParameterStore> store;
  std::unique_ptr<GradientBuckets> buckets;
};

/// All summands of every number of the model, from all ranks.
struct Summands {
  std::mutex mutex;
  std::map<Place, std::map<int64_t, double>> by_place;

  void add(const Holder& holder) {
    const std::lock_guard lock(mutex);
    holder.for_each_number(
        [&](const Parameter&, const ParameterPiece& piece, const Place& place, const double&) {
          const int64_t summand = summand_of(holder.mesh, piece);
          by_place[place][summand] = contribution(place, summand);
        });
  }
  double sum(const Place& place) const {
    double total = 0;
    for (const auto& [summand, value] : by_place.at(place)) total += value;
    return total;
  }
  double squared_norm() const {
    double total = 0;
    for (const auto& [place, values] : by_place) total += sum(place) * sum(place);
    return total;
  }
};

TEST(PartialSums, GiveEveryHolderTheSumAndTheNormCountsEveryNumberOnce) {
  struct Layout {
    int ranks;
    int64_t tensor, pipeline;
  };
  for (const auto& [ranks, tensor, pipeline] :
       {Layout{16, 4, 2}, Layout{4, 2, 2}, Layout{4, 2, 1}, Layout{12, 2, 3}}) {
    for (const int64_t zero_stage : {0, 1}) {
      SCOPED_TRACE(::testing::Message() << ranks << " ranks, tensor " << tensor << ", pipeline " << pipeline
                                        << ", zero_stage " << zero_stage);
      Summands summands;
      run_thread_ranks(ranks, [&, tensor = tensor, pipeline = pipeline](Communicator& world) {
        Holder holder(world, config_of(tensor, pipeline), zero_stage);
        summands.add(holder);
        world.barrier();
        for (int step = 1; step <= 2; ++step) {
          holder.step();
          int64_t num_wrong = 0;
          holder.for_each_number(
              [&](const Parameter&, const ParameterPiece&, const Place& place, const double& gradient) {
                if (zero_stage == 0 && gradient != summands.sum(place)) ++num_wrong;
              });
          EXPECT_EQ(num_wrong, 0);
          Tensor squares = holder.context.workspace({1}, DType::kFloat64);
          squares.data<double>()[0] = holder.buckets->squared_gradient_norm(holder.context);
          world.all_reduce(squares, ReduceOp::kSum);
          EXPECT_EQ(squares.data<double>()[0], summands.squared_norm());
        }
      });
    }
  }
}

TEST(PartialSums, SendOneMessageAGroupWithNothingElseInIt) {
  run_thread_ranks(8, [](Communicator& world) {
    Holder holder(world, config_of(4, 2), 0);
    holder.step();
    holder.step();
    const auto entries = holder.mesh.counters().entries;
    const int64_t tied_rows = holder.mesh.coordinate(Axis::kTensor) == 3 ? 6 : 5;  // of 21
    const std::map<std::string, int64_t> numbers = {{"tensor/all_reduce", 9 + 4},
                                                    {"tensor-neighbours/all_reduce", 2 * 3 * 256},
                                                    {"tied/all_reduce", tied_rows * 6 + 4}};
    for (const auto& [name, count] : numbers) {
      ASSERT_TRUE(entries.contains(name)) << name;
      EXPECT_EQ(entries.at(name).calls, 2) << name;
      EXPECT_EQ(entries.at(name).bytes, 2 * 8 * count) << name;
    }
  });
}

/// What check_replicas says after `damage` on the ranks of a world of 8 (tensor 4, pipeline 2); empty:
/// nothing.
std::string complaint_after(const std::function<void(Holder&)>& damage) {
  try {
    run_thread_ranks(8, [&](Communicator& world) {
      Holder holder(world, config_of(4, 2), 0);
      check_replicas(*holder.store, holder.mesh);
      damage(holder);
      check_replicas(*holder.store, holder.mesh);
    });
  } catch (const CommError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kRanksDisagree);
    return error.what();
  }
  return {};
}

void flip_last_bit(Holder& holder, const std::string& piece_name) {
  for (Parameter* parameter : holder.store->parameters())
    for (size_t i = 0; i < parameter->pieces.size(); ++i)
      if (parameter->pieces[i].name == piece_name) {
        const Tensor values = parameter->piece(parameter->value, i);
        double& last = values.row<double>(values.rows() - 1)[values.cols() - 1];
        last = std::nextafter(last, 2.0);
      }
}

TEST(Replicas, APieceThatSeveralRanksHoldIsComparedOverThem) {
  EXPECT_EQ(complaint_after([](Holder&) {}), "");
  const auto damaged_on = [](int rank, const std::string& piece) {
    return complaint_after([=](Holder& holder) {
      if (holder.mesh.world().rank() == rank) flip_last_bit(holder, piece);
    });
  };
  EXPECT_THAT(damaged_on(2, "h.0.norm"),
              HasSubstr("parameter h.0.norm is not the same on rank 0 and rank 2"));
  EXPECT_THAT(damaged_on(7, "h.1.bias"),
              HasSubstr("parameter h.1.bias is not the same on rank 4 and rank 7"));
  EXPECT_THAT(damaged_on(7, "h.1.value"),
              HasSubstr("parameter h.1.value is not the same on rank 6 and rank 7"));
  EXPECT_THAT(damaged_on(5, "wte"), HasSubstr("parameter wte is not the same on rank 1 and rank 5"));
  EXPECT_EQ(damaged_on(6, "h.1.query"), "") << "this rank alone holds it";
}

}  // namespace
}  // namespace trireme::testing
