#include "tests/support/split_run.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/nn/plain_layer_builder.h"
#include "core/ops/elementwise.h"
#include "parallel/comm/local_communicator.h"
#include "parallel/comm/thread_communicator.h"
#include "parallel/mesh/mesh.h"
#include "parallel/tensor_parallel/tensor_layer_builder.h"
#include "tests/support/gradient_check.h"
#include "tests/support/values.h"

namespace trireme::testing {
namespace {

double largest(const std::vector<double>& values) {
  double result = 0;
  for (const double value : values) result = std::max(result, std::isnan(value) ? INFINITY : std::abs(value));
  return result;
}

}  // namespace

void Merged::equal(const std::string& name, const std::vector<double>& values) {
  const std::lock_guard lock(mutex_);
  const auto [entry, first] = equal_.emplace(name, values);
  EXPECT_EQ(entry->second, values) << name << " differs between ranks";
}

void Merged::add(const std::string& name, int rank, std::vector<double> values) {
  const std::lock_guard lock(mutex_);
  std::vector<double>& term = terms_[name][rank];
  term.resize(values.size());
  for (size_t i = 0; i < values.size(); ++i) term[i] += values[i];
}

std::map<std::string, std::vector<double>> Merged::tensors() const {
  std::map<std::string, std::vector<double>> result = equal_;
  for (const auto& [name, terms] : terms_)
    for (const auto& [rank, term] : terms) {
      std::vector<double>& sum = result[name];
      sum.resize(term.size());
      for (size_t i = 0; i < term.size(); ++i) sum[i] += term[i];
    }
  return result;
}

void SplitRank::merge_box(const std::string& name, int64_t rows, int64_t cols, int64_t row, int64_t col,
                          const Tensor& part) const {
  std::vector<double> whole(static_cast<size_t>(rows * cols));
  const std::vector<double> values = values_of(part);
  for (int64_t i = 0; i < part.num_elements(); ++i)
    whole[static_cast<size_t>((row + i / part.cols()) * cols + col + i % part.cols())] =
        values[static_cast<size_t>(i)];
  merged.add(name, group.rank(), std::move(whole));
}

std::unique_ptr<ParameterStore> SplitRank::make_store(const std::vector<Parameter*>& parameters) const {
  // Biases and norms that are all 0 or 1 would hide what is done with them.
  for (Parameter* parameter : parameters)
    if (parameter->init.kind != InitRule::Kind::kNormal) parameter->init = {InitRule::Kind::kNormal, 0.5};
  auto store = std::make_unique<ParameterStore>(
      context, ParameterLayout(parameters, PrecisionConfig{.dtype = precision}));
  store->initialize(context, 1);
  store->begin_accumulation();
  return store;
}

void SplitRank::merge_gradients(const std::vector<Parameter*>& parameters) const {
  for (const Parameter* parameter : parameters)
    for (size_t i = 0; i < parameter->pieces.size(); ++i) {
      const ParameterPiece& piece = parameter->pieces[i];
      const Tensor gradient = parameter->piece(parameter->gradient, i);
      const auto found = piece.placement.find(static_cast<AxisId>(Axis::kTensor));
      const bool alone = found == piece.placement.end();
      if (!alone && found->second.kind == Placement::Kind::kReplicatedEqual) {
        merged.equal(piece.name, values_of(gradient));
      } else {
        const bool matrix = piece.global_shape.size() > 1;
        merge_box(piece.name, matrix ? piece.global_shape[0] : 1, piece.global_shape.back(),
                  matrix ? piece.offset[0] : 0, piece.offset.back(), gradient);
      }
    }
}

Tensor SplitRank::my_rows(const Tensor& matrix) const {
  const int64_t rows = matrix.rows() / builder.residual_shards();
  return matrix.slice(0, builder.residual_shards() == 1 ? 0 : group.rank() * rows, rows);
}

void SplitRank::merge_rows(const std::string& name, const Tensor& mine) const {
  if (builder.residual_shards() == 1) {
    merged.equal(name, values_of(mine));
  } else {
    const int64_t rows = mine.rows() * group.size();
    merge_box(name, rows, mine.cols(), group.rank() * mine.rows(), 0, mine);
  }
}

std::map<std::string, std::vector<double>> run_plain(Precision precision, const SplitBody& body) {
  Context context;
  comm::LocalCommunicator world("world");
  nn::PlainLayerBuilder builder;
  Merged merged;
  SplitRank rank{context, world, builder, precision, merged};
  body(rank);
  return merged.tensors();
}

std::map<std::string, std::vector<double>> run_split(const Split& split, const SplitBody& body) {
  Merged merged;
  comm::run_thread_ranks(split.num_ranks, [&](Communicator& world) {
    Context context;
    TensorLayerBuilder builder(world, split.sequence_parallel);
    SplitRank rank{context, world, builder, split.precision, merged};
    body(rank);
  });
  return merged.tensors();
}

SplitError compare(const std::map<std::string, std::vector<double>>& given,
                   const std::map<std::string, std::vector<double>>& expected) {
  SplitError result;
  double scale = 0;
  for (const auto& [name, values] : expected) scale = std::max(scale, largest(values));
  EXPECT_EQ(given.size(), expected.size());
  for (const auto& [name, values] : expected) {
    const auto found = given.find(name);
    if (found == given.end() || found->second.size() != values.size()) {
      ADD_FAILURE() << name << " is missing or has another size";
      continue;
    }
    std::vector<double> difference(values.size());
    for (size_t i = 0; i < values.size(); ++i) difference[i] = found->second[i] - values[i];
    const double error = largest(difference) / std::max(largest(values), 1e-3 * scale);
    if (error > result.error) result = {error, name};
  }
  return result;
}

std::vector<Split> all_splits(Precision precision) {
  std::vector<Split> splits;
  for (int num_ranks = 1; num_ranks <= 4; ++num_ranks)
    for (const bool sequence_parallel : {false, true})
      splits.push_back({num_ranks, sequence_parallel, precision});
  return splits;
}

std::string describe(const Split& split) {
  return fmt::format("{} ranks{}", split.num_ranks, split.sequence_parallel ? ", sequence parallel" : "");
}

}  // namespace trireme::testing
