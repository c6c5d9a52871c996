#include "parallel/checkpoint/index_file.h"

#include <cstring>

#include "core/io/digest.h"
#include "core/io/file.h"
#include "core/io/hdf5_skeleton.h"
#include "parallel/checkpoint/shard_writer.h"

namespace trireme::checkpoint {
namespace {

std::vector<io::Hdf5Attribute> root_attributes(const Manifest& manifest) {
  const TrainingState& state = manifest.state;
  const auto number = [](int64_t value) { return std::vector<int64_t>{value}; };
  return {{"format_version", number(manifest.format_version)},
          {"writer", manifest.writer},
          {"run_id", state.run_id},
          {"parent_run_id", state.parent_run_id},
          {"step", number(state.step)},
          {"tokens", number(state.tokens)},
          {"samples", number(state.samples)},
          {"precision", state.precision},
          {"mesh", canonical_json(state.mesh_json)},
          {"architecture", canonical_json(state.architecture_json)},
          {"tokenizer_hash", state.tokenizer_hash},
          {"dataset", canonical_json(state.dataset_json)},
          {"optimizer", canonical_json(state.optimizer_json)},
          {"schedule", canonical_json(state.schedule_json)},
          {"loss_scaler", canonical_json(state.loss_scaler_json)},
          {"config", canonical_json(state.config_json)}};
}

}  // namespace

std::string index_bytes(const Manifest& manifest) {
  std::vector<io::Hdf5Dataset> datasets;
  for (const SavedTensor& tensor : manifest.tensors) {
    const LogicalTensor logical{tensor.role, tensor.name, tensor.dtype, tensor.shape, tensor.parameter_group};
    std::vector<io::Hdf5Source> sources;
    for (const SavedBox& saved : tensor.boxes)
      sources.push_back({saved.file, dataset_path(logical, saved.box), saved.box.offset, saved.box.extent});
    datasets.push_back(
        {"/" + tensor.role + "/" + tensor.name,
         tensor.shape,
         tensor.dtype,
         {{"dtype", std::string(name_of(tensor.dtype))}, {"parameter_group", tensor.parameter_group}},
         std::move(sources)});
  }
  const io::Hdf5Skeleton skeleton = io::make_hdf5_skeleton(datasets, root_attributes(manifest));
  std::string bytes(static_cast<size_t>(skeleton.size), '\0');  // metadata only, so it is small
  for (const auto& extent : skeleton.metadata)
    std::memcpy(bytes.data() + extent.offset, extent.bytes.data(), extent.bytes.size());
  return bytes;
}

SavedFile write_index(const std::string& directory, const Manifest& manifest) {
  const std::string bytes = index_bytes(manifest);
  io::write_new_file(directory + "/" + kIndexName, bytes);
  return {static_cast<int64_t>(bytes.size()), io::digest_of(bytes)};
}

}  // namespace trireme::checkpoint
