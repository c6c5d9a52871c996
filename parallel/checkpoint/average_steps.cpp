#include "parallel/checkpoint/average_steps.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "parallel/checkpoint/compatibility.h"
#include "parallel/checkpoint/held_tensors.h"
#include "parallel/checkpoint/inspection.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/tensor_reader.h"
#include "parallel/checkpoint/weights_step.h"

namespace trireme {

using namespace checkpoint;

namespace {

constexpr int64_t kShardBytes = int64_t{1} << 30;

/// One of the steps, with the tensors that are averaged by name.
struct Source {
  std::string path;
  Manifest manifest;
  std::map<std::string, const SavedTensor*> weights;
};

void find_weights(Source& source, bool moving_averages) {
  for (const char* role : {"model", "master"})
    for (const SavedTensor& tensor : source.manifest.tensors)
      if (tensor.role == role && tensor.tied_to.empty()) source.weights[tensor.name] = &tensor;
  if (!moving_averages) return;
  for (auto& [name, weight] : source.weights) {
    if (weight->parameter_group == kBufferGroup) continue;  // an average already
    const auto found = std::ranges::find_if(source.manifest.tensors, [&](const SavedTensor& tensor) {
      return tensor.role == "optimizer/ema" && tensor.name == name;
    });
    if (found == source.manifest.tensors.end())
      throw CheckpointError(
          fmt::format("'{}' holds no moving average of {}; it was trained without "
                      "optimizer.ema_decay",
                      source.path, name));
    weight = &*found;
  }
}

/// What `first` holds of role model, in the type that is written.
std::vector<LogicalTensor> averaged_tensors(const Source& first) {
  std::vector<LogicalTensor> tensors;
  for (const SavedTensor& tensor : first.manifest.tensors) {
    if (tensor.role != "model" || !tensor.tied_to.empty()) continue;
    const bool exact = first.weights.at(tensor.name)->dtype == DType::kFloat64;
    const DType dtype = exact ? DType::kFloat64 : DType::kFloat32;
    tensors.push_back({"model", tensor.name, dtype, tensor.shape, tensor.parameter_group});
  }
  return tensors;
}

std::vector<Source> open(const AveragedSteps& what) {
  std::vector<Source> sources(what.steps.size());
  for (size_t i = 0; i < sources.size(); ++i) {
    sources[i].path = what.steps[i];
    sources[i].manifest = load_manifest(sources[i].path);
  }
  find_weights(sources.front(), what.moving_averages);
  const std::vector<LogicalTensor> expected = averaged_tensors(sources.front());
  for (Source& source : sources) {
    const WeightsMatch match = match_weights(source.manifest, sources.front().manifest.state, expected, {});
    if (!match.fatal.empty())
      throw CheckpointError(fmt::format("'{}' cannot be averaged with '{}' (\"this run\"):\n  {}",
                                        source.path, sources.front().path, fmt::join(match.fatal, "\n  ")));
    find_weights(source, what.moving_averages);
  }
  return sources;
}

Tensor mean_of(Context& context, const std::vector<Source>& sources, const LogicalTensor& tensor) {
  Tensor sum = context.zeros(tensor.global_shape, DType::kFloat64, MemoryCategory::kWorkspace);
  Tensor wide = context.workspace(tensor.global_shape, DType::kFloat64);
  for (const Source& source : sources) {
    const SavedTensor& saved = *source.weights.at(tensor.name);
    ops::cast(context, read_tensor(context, source.path, source.manifest, saved), wide);
    ops::add(context, sum, wide, sum);
  }
  ops::scale(context, sum, 1.0 / static_cast<double>(sources.size()));
  Tensor mean = context.workspace(tensor.global_shape, tensor.dtype);
  ops::cast(context, sum, mean);
  return mean;
}

}  // namespace

TrainingState average_steps(Context& context, const std::string& directory, const AveragedSteps& what) {
  const std::vector<Source> sources = open(what);
  const Manifest& last = std::ranges::max_element(sources, {}, [](const Source& source) {
                           return source.manifest.state.step;
                         })->manifest;
  TrainingState state = last.state;
  state.parent_run_id = state.run_id;
  state.run_id = "average";
  state.schedule_json = state.loss_scaler_json = "{}";  // of other weights
  write_weights_step(
      directory, state, averaged_tensors(sources.front()),
      [&](const LogicalTensor& tensor) { return mean_of(context, sources, tensor); }, kShardBytes);
  return state;
}

std::vector<std::string> last_steps(const std::string& directory, int64_t count) {
  const std::vector<StepSummary> all = list_checkpoints(directory);
  if (static_cast<int64_t>(all.size()) < count)
    throw CheckpointError(
        fmt::format("'{}' has {} checkpoint{}, {} are asked for; checkpoint.keep_last says how many "
                    "a run keeps",
                    directory, all.size(), all.size() == 1 ? "" : "s", count));
  std::vector<std::string> steps;
  for (auto step = all.end() - count; step != all.end(); ++step) {
    if (!step->damage.empty()) throw CheckpointError(step->path + ": " + step->damage);
    steps.push_back(step->path);
  }
  return steps;
}

}  // namespace trireme
