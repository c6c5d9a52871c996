#include "parallel/checkpoint/weights_step.h"

#include <fmt/format.h>

#include "core/io/directory.h"
#include "core/io/directory_lock.h"
#include "core/io/file.h"
#include "parallel/checkpoint/assemble_manifest.h"
#include "parallel/checkpoint/held_tensors.h"
#include "parallel/checkpoint/index_file.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/save_plan.h"
#include "parallel/checkpoint/shard_writer.h"
#include "parallel/checkpoint/step_directory.h"

namespace trireme::checkpoint {
namespace {

TensorBox whole(const LogicalTensor& tensor) {
  return {tensor, {Shape(tensor.global_shape.size(), 0), tensor.global_shape}};
}

/// One shard after another: each as large as `max_shard_bytes` allows, with one tensor at least.
std::vector<std::vector<TensorBox>> divide(const std::vector<LogicalTensor>& tensors,
                                           int64_t max_shard_bytes) {
  std::vector<std::vector<TensorBox>> shards;
  int64_t bytes = 0;
  for (const LogicalTensor& tensor : tensors) {
    const TensorBox box = whole(tensor);
    if (shards.empty() || bytes + box.num_bytes() > max_shard_bytes) {
      shards.emplace_back();
      bytes = 0;
    }
    shards.back().push_back(box);
    bytes += box.num_bytes();
  }
  return shards;
}

ShardReport write_one(const std::string& directory, int shard, const SavePlan& plan,
                      const std::function<Tensor(const LogicalTensor&)>& load) {
  std::vector<Tensor> data;
  for (const PlannedBox& planned : plan.ranks[static_cast<size_t>(shard)]) {
    const TensorBox& box = plan.held[static_cast<size_t>(shard)][planned.held];
    data.push_back(part_of({box, load(box)}, planned.box));
  }
  const std::atomic<bool> cancelled = false;
  return write_shard(directory, shard, plan, data, cancelled);
}

}  // namespace

std::string write_weights_step(const std::string& directory, const TrainingState& state,
                               const std::vector<LogicalTensor>& tensors,
                               const std::function<Tensor(const LogicalTensor&)>& load,
                               int64_t max_shard_bytes) {
  std::vector<std::string> names;
  for (const LogicalTensor& tensor : tensors) names.push_back(tensor.name);
  const SavePlan plan = plan_save(divide(tensors, max_shard_bytes), names);

  io::make_directories(directory);
  const io::DirectoryLock lock(directory, "run " + state.run_id);
  const std::string name = step_directory_name(state.step);
  io::TemporaryDirectory temporary(fmt::format("{}/.tmp-{}-{}", directory, name, state.run_id));
  std::vector<ShardReport> reports;
  for (size_t shard = 0; shard < plan.ranks.size(); ++shard)
    reports.push_back(write_one(temporary.path(), static_cast<int>(shard), plan, load));
  Manifest manifest = assemble_manifest(state, plan, reports);
  manifest.files[kIndexName] = write_index(temporary.path(), manifest);
  io::write_new_file(temporary.path() + "/" + kManifestName, to_json(manifest));
  temporary.commit(directory + "/" + name);
  return directory + "/" + name;
}

}  // namespace trireme::checkpoint
