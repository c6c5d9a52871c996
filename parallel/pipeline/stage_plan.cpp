#include "parallel/pipeline/stage_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

#include "core/base/check.h"
#include "core/base/error.h"
#include "parallel/mesh/mesh.h"

namespace trireme {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

/// What the blocks before each block need together.
struct Totals {
  std::vector<double> products{0};
  std::vector<double> parameters{0};
};

void append_once(std::vector<Parameter*>& list, const std::vector<Parameter*>& more) {
  for (Parameter* parameter : more)
    if (std::find(list.begin(), list.end(), parameter) == list.end()) list.push_back(parameter);
}

std::vector<Parameter*> block_parameters(const Model& model, size_t begin, size_t end) {
  std::vector<Parameter*> parameters;
  for (size_t i = begin; i < end; ++i) {
    std::vector<Parameter*> used;
    model.blocks()[i]->collect(used);
    model.blocks()[i]->collect_shared(used);
    append_once(parameters, used);
  }
  return parameters;
}

Totals totals_of(const Model& model, int64_t seq_length) {
  Totals totals;
  for (size_t i = 0; i < model.blocks().size(); ++i) {
    double numbers = 0;
    for (const Parameter* parameter : block_parameters(model, i, i + 1))
      for (const ParameterPiece& piece : parameter->pieces)
        numbers += static_cast<double>(num_elements(piece.global_shape));
    totals.products.push_back(totals.products.back() + model.blocks()[i]->products_per_token(seq_length));
    totals.parameters.push_back(totals.parameters.back() + numbers);
  }
  return totals;
}

/// Ends of the `parts` non-empty ranges of [0, count) whose costs, put together by `combine`, are least.
std::vector<size_t> best_cut(size_t count, size_t parts, const std::function<double(size_t, size_t)>& cost,
                             const std::function<double(double, double)>& combine) {
  std::vector<std::vector<double>> best(parts + 1, std::vector<double>(count + 1, kInfinite));
  std::vector<std::vector<size_t>> begin_of(parts + 1, std::vector<size_t>(count + 1, 0));
  best[0][0] = 0;
  for (size_t part = 1; part <= parts; ++part) {
    for (size_t end = part; end <= count; ++end) {
      for (size_t begin = part - 1; begin < end; ++begin) {
        const double value = combine(best[part - 1][begin], cost(begin, end));
        if (value >= best[part][end]) continue;
        best[part][end] = value;
        begin_of[part][end] = begin;
      }
    }
  }
  std::vector<size_t> ends(parts);
  for (size_t part = parts, end = count; part > 0; end = begin_of[part--][end]) ends[part - 1] = end;
  return ends;
}

std::vector<size_t> balanced_cut(const Totals& totals, size_t parts) {
  const size_t count = totals.products.size() - 1;
  const auto share = [&](const std::vector<double>& sums, size_t begin, size_t end) {
    return sums.back() == 0 ? 0.0 : (sums[end] - sums[begin]) / sums.back();
  };
  const auto products = [&](size_t begin, size_t end) { return share(totals.products, begin, end); };
  const auto larger = [](double a, double b) { return std::max(a, b); };
  double slowest = 0;
  size_t begin = 0;
  for (const size_t end : best_cut(count, parts, products, larger)) {
    slowest = std::max(slowest, products(begin, end));
    begin = end;
  }
  const auto spread = [&](size_t begin, size_t end) {
    const double work = products(begin, end), memory = share(totals.parameters, begin, end);
    return work > slowest * (1 + 1e-12) ? kInfinite : work * work + memory * memory;
  };
  return best_cut(count, parts, spread, std::plus<>());
}

std::vector<size_t> given_cut(const std::vector<int64_t>& layers, size_t parts, const Model& model) {
  std::vector<size_t> blocks;  // that are layers
  for (size_t i = 0; i < model.blocks().size(); ++i)
    if (model.blocks()[i]->kind() == BlockKind::kLayer) blocks.push_back(i);
  if (layers.size() != parts)
    throw ConfigError(fmt::format("parallel.pipeline_layout [{}] has {} entries; there are {} virtual stages",
                                  fmt::join(layers, ", "), layers.size(), parts));
  const int64_t sum = std::accumulate(layers.begin(), layers.end(), int64_t{0});
  if (sum != static_cast<int64_t>(blocks.size()))
    throw ConfigError(fmt::format("parallel.pipeline_layout [{}] has {} layers in all; the model has {}",
                                  fmt::join(layers, ", "), sum, blocks.size()));
  std::vector<size_t> ends;
  int64_t count = 0;
  for (size_t part = 0; part < parts; ++part) {
    if (layers[part] < 0 || (layers[part] == 0 && part > 0 && part + 1 < parts))
      throw ConfigError(
          fmt::format("parallel.pipeline_layout [{}]: entry {} is {}; only the first virtual stage, "
                      "which has the embedding, and the last, which has the head, may be without layers",
                      fmt::join(layers, ", "), part + 1, layers[part]));
    count += layers[part];
    ends.push_back(count == 0 ? blocks.front() : blocks[static_cast<size_t>(count) - 1] + 1);
  }
  ends.back() = model.blocks().size();
  return ends;
}

}  // namespace

StagePlan plan_stages(const Model& model, const ParallelConfig& config, int64_t seq_length) {
  StagePlan plan;
  plan.num_stages = static_cast<int>(config.pipeline_model_parallel_size);
  plan.num_chunks = static_cast<int>(config.virtual_pipeline_model_parallel_size);
  const size_t num_blocks = model.blocks().size();
  const auto num_layers =
      static_cast<size_t>(std::count_if(model.blocks().begin(), model.blocks().end(), [](const auto& block) {
        return block->kind() == BlockKind::kLayer;
      }));
  const auto parts = static_cast<size_t>(plan.num_virtual_stages());
  if (parts > num_blocks)
    throw ConfigError(fmt::format(
        "parallel: {} pipeline stages x {} chunks = {} virtual stages, but the model has {} blocks to "
        "give them ({} layers, embedding, head); use at most {} stages with {} chunks, or {} layers",
        plan.num_stages, plan.num_chunks, parts, num_blocks, num_layers,
        std::max<size_t>(1, num_blocks / static_cast<size_t>(plan.num_chunks)),
        std::min(num_blocks, static_cast<size_t>(plan.num_chunks)), parts + num_layers - num_blocks));
  const std::vector<size_t> ends = config.pipeline_layout.empty()
                                       ? balanced_cut(totals_of(model, seq_length), parts)
                                       : given_cut(config.pipeline_layout, parts, model);
  size_t begin = 0;
  for (const size_t end : ends) {
    plan.blocks.emplace_back(begin, end);
    begin = end;
  }
  return plan;
}

std::vector<Parameter*> chunk_parameters(const Model& model, const StagePlan& plan, int stage, int chunk) {
  const auto [begin, end] = plan.blocks[static_cast<size_t>(plan.virtual_stage(stage, chunk))];
  return block_parameters(model, begin, end);
}

std::vector<Parameter*> stage_parameters(const Model& model, const StagePlan& plan, int stage) {
  std::vector<Parameter*> parameters;
  for (int chunk = 0; chunk < plan.num_chunks; ++chunk)
    append_once(parameters, chunk_parameters(model, plan, stage, chunk));
  return parameters;
}

std::vector<Buffer*> stage_buffers(const Model& model, const StagePlan& plan, int stage) {
  std::vector<Buffer*> buffers;
  for (int chunk = 0; chunk < plan.num_chunks; ++chunk) {
    const auto [begin, end] = plan.blocks[static_cast<size_t>(plan.virtual_stage(stage, chunk))];
    for (size_t block = begin; block < end; ++block) model.blocks()[block]->collect_buffers(buffers);
  }
  return buffers;
}

std::vector<std::vector<int>> place_shared_parameters(const Model& model, const StagePlan& plan) {
  std::vector<std::pair<Parameter*, std::vector<int>>> holders;
  for (int stage = 0; stage < plan.num_stages; ++stage)
    for (Parameter* parameter : stage_parameters(model, plan, stage)) {
      auto found = std::find_if(holders.begin(), holders.end(),
                                [&](const auto& one) { return one.first == parameter; });
      if (found == holders.end()) found = holders.insert(found, {parameter, {}});
      found->second.push_back(stage);
    }
  std::vector<std::vector<int>> groups;
  for (const auto& [parameter, stages] : holders) {
    if (stages.size() == 1) continue;
    if (std::find(groups.begin(), groups.end(), stages) == groups.end()) groups.push_back(stages);
    for (ParameterPiece& piece : parameter->pieces)
      piece.placement[static_cast<AxisId>(Axis::kPipeline)] = {.kind = Placement::Kind::kReplicatedPartial,
                                                               .holders = stages};
  }
  return groups;
}

}  // namespace trireme
