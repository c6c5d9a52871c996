#include "parallel/checkpoint/initial_weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/trace.h"
#include "core/ops/elementwise.h"
#include "parallel/checkpoint/agreement.h"
#include "parallel/checkpoint/compatibility.h"
#include "parallel/checkpoint/held_tensors.h"
#include "parallel/checkpoint/logical_tensors.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/shared_reading.h"
#include "parallel/checkpoint/tensor_reader.h"

namespace trireme {

using namespace checkpoint;

namespace {

constexpr const char* kAverageRole = "optimizer/ema";
constexpr int64_t kUsualBuffer = int64_t{1} << 30;

/// Of each tensor what fills a target best: what is the same, else masters, else model weights; before them
/// its moving average, where those are asked for.
class Sources {
 public:
  Sources(const Manifest& manifest, Weights weights) : weights_(weights) {
    for (const SavedTensor& tensor : manifest.tensors)
      if (tensor.tied_to.empty()) saved_[{tensor.role, tensor.name}] = &tensor;
  }
  const SavedTensor& best_for(const TensorBox& target) const {
    if (weights_ == Weights::kAverages)
      if (const SavedTensor* average = find(kAverageRole, target.name)) return *average;
    const SavedTensor* same = find(target.role, target.name);
    if (same != nullptr && same->dtype == target.dtype) return *same;
    const SavedTensor* master = find("master", target.name);
    return master != nullptr ? *master : *find("model", target.name);
  }

 private:
  const SavedTensor* find(const Role& role, const std::string& name) const {
    const auto found = saved_.find({role, name});
    return found == saved_.end() ? nullptr : found->second;
  }
  Weights weights_;
  std::map<std::pair<Role, std::string>, const SavedTensor*> saved_;
};

void require_averages(const Manifest& manifest, const std::string& step_directory) {
  if (std::none_of(manifest.tensors.begin(), manifest.tensors.end(),
                   [](const SavedTensor& tensor) { return tensor.role == kAverageRole; }))
    throw CheckpointError(
        fmt::format("'{}' holds no moving averages of the weights: it was trained without "
                    "optimizer.ema_decay; leave --ema out",
                    step_directory));
}

std::vector<LogicalTensor> of_model(const std::vector<LogicalTensor>& tensors) {
  std::vector<LogicalTensor> model;
  for (const LogicalTensor& tensor : tensors)
    if (tensor.role == "model") model.push_back(tensor);
  return model;
}

/// A target as it is read: of the type of the step.
struct Part {
  HeldTensor source;
  Tensor target;
};

/// Fills the parts and converts them where their types differ.
void fill(Context& context, const std::string& step_directory, const Manifest& manifest,
          const std::vector<Part>& parts, int64_t buffer_bytes) {
  std::vector<HeldTensor> sources;
  for (const Part& part : parts) sources.push_back(part.source);
  read_tensors(step_directory, manifest, sources, buffer_bytes);
  for (const Part& part : parts) {
    Tensor target = part.target;
    if (target.dtype() != part.source.data.dtype()) ops::cast(context, part.source.data, target);
  }
}

/// Half of the buffer is for reading, half for what is converted.
void read_weights(Context& context, const std::string& step_directory, const Manifest& manifest,
                  const std::vector<HeldTensor>& targets, int64_t buffer_bytes,
                  Weights weights = Weights::kTrained) {
  const Sources sources(manifest, weights);
  std::vector<Part> direct, converted;
  int64_t bytes = 0;
  const auto flush = [&] {
    fill(context, step_directory, manifest, converted, buffer_bytes / 2);
    converted.clear();
    bytes = 0;
  };
  for (const HeldTensor& target : targets) {
    const SavedTensor& tensor = sources.best_for(target.box);
    TensorBox box = target.box;
    box.role = tensor.role;
    box.dtype = tensor.dtype;
    if (target.box.dtype == tensor.dtype) {
      direct.push_back({{box, target.data}, target.data});
      continue;
    }
    for (const Box& piece : cut(target.box.box, buffer_bytes / 2 / size_of(tensor.dtype))) {
      box.box = piece;
      if (bytes + box.num_bytes() > buffer_bytes / 2) flush();
      bytes += box.num_bytes();
      converted.push_back({{box, context.workspace(piece.extent, tensor.dtype)}, part_of(target, piece)});
    }
  }
  flush();
  fill(context, step_directory, manifest, direct, buffer_bytes);
}

std::set<std::string> names_of(const std::vector<LogicalTensor>& tensors) {
  std::set<std::string> names;
  for (const LogicalTensor& tensor : tensors) names.insert(tensor.name);
  return names;
}

void mark_changed(const ParameterStore& parameters) {
  for (Parameter* parameter : parameters.parameters()) ++parameter->version;
}

void tell(const std::string& step_directory, const WeightsMatch& match) {
  for (const std::string& line : match.told)
    log::warning("weights of '{}' with a difference: {}", step_directory, line);
  if (!match.left.empty())
    log::warning("not taken from '{}' and left at their initial values: {}", step_directory,
                 fmt::join(match.left, ", "));
}

}  // namespace

TrainingState initialize_weights(Context& context, Communicator& world, const InitialWeights& weights,
                                 const TrainingState& expected, ParameterStore& parameters) {
  const TraceSpan span(context.trace, "checkpoint/restore");
  const std::string& step = weights.step_directory;
  std::vector<HeldTensor> targets = held_tensors(parameters, {});
  const std::vector<LogicalTensor> tensors =
      of_model(logical_tensors(gather_boxes(world, boxes_of(targets)), {}));
  Manifest manifest;
  WeightsMatch match;
  agree(world, [&] {
    manifest = load_manifest(step);
    return std::string();
  });
  agree(world, [&] {
    match = match_weights(manifest, expected, tensors, weights.only);
    if (world.rank() != 0) return std::string();
    refuse(step, match.fatal);
    tell(step, match);
    return std::string();
  });
  std::erase_if(targets, [taken = names_of(match.taken)](const HeldTensor& target) {
    return !taken.contains(target.box.name);
  });
  const SavePlan plan = plan_save(gather_boxes(world, boxes_of(targets)), {});
  agree(world, [&] {
    read_weights(context, step, manifest, parts_to_read(plan, world.rank(), targets), weights.buffer_bytes);
    return std::string();
  });
  share_parts(world, plan, targets, weights.buffer_bytes);
  mark_changed(parameters);
  return manifest.state;
}

void restore_weights(Context& context, const std::string& step_directory, ParameterStore& parameters,
                     Weights weights) {
  const TraceSpan span(context.trace, "checkpoint/restore");
  const std::vector<HeldTensor> targets = held_tensors(parameters, {});
  const Manifest manifest = load_manifest(step_directory);
  const std::vector<LogicalTensor> tensors = of_model(logical_tensors({boxes_of(targets)}, {}));
  refuse(step_directory, compare_weights(manifest, tensors));
  if (weights == Weights::kAverages) require_averages(manifest, step_directory);
  read_weights(context, step_directory, manifest, targets, kUsualBuffer, weights);
  mark_changed(parameters);
}

}  // namespace trireme
