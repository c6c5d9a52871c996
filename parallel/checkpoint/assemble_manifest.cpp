#include "parallel/checkpoint/assemble_manifest.h"

#include "core/io/digest.h"
#include "core/io/hdf5_skeleton.h"

namespace trireme::checkpoint {

Manifest assemble_manifest(const TrainingState& state, const SavePlan& plan,
                           const std::vector<ShardReport>& reports) {
  Manifest manifest;
  manifest.writer = "trireme " TRIREME_VERSION;
  manifest.libraries = {{"hdf5", io::hdf5_version()}, {"xxhash", io::xxhash_version()}};
  manifest.num_ranks = static_cast<int64_t>(reports.size());
  manifest.state = state;
  manifest.architecture_hash = io::digest_of(canonical_json(state.architecture_json));
  for (const LogicalTensor& tensor : plan.tensors)
    manifest.tensors.push_back(
        {tensor.role, tensor.name, tensor.dtype, tensor.global_shape, tensor.parameter_group, "", {}});
  for (size_t rank = 0; rank < reports.size(); ++rank) {
    manifest.files[reports[rank].file] = reports[rank].written;
    for (size_t i = 0; i < reports[rank].boxes.size(); ++i) {
      SavedBox saved = reports[rank].boxes[i];
      saved.file = reports[rank].file;
      manifest.tensors[plan.ranks[rank][i].tensor].boxes.push_back(std::move(saved));
    }
  }
  return manifest;
}

}  // namespace trireme::checkpoint
