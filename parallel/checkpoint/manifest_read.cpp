#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/base/error.h"
#include "core/base/strict_json.h"
#include "core/io/digest.h"
#include "core/io/file.h"
#include "parallel/checkpoint/json_reader.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/manifest_tail.h"
#include "parallel/checkpoint/step_directory.h"

namespace trireme::checkpoint {
namespace {

constexpr int64_t kLargestManifest = int64_t{1} << 30;
constexpr int64_t kLargestCount = int64_t{1} << 62;
constexpr int64_t kLargestFile = int64_t{1} << 50;
constexpr int64_t kMostRanks = int64_t{1} << 20;

nlohmann::json parse(const std::string& text, const std::string& where) {
  try {
    return parse_strict_json(text, where);
  } catch (const DataError& error) {
    throw CheckpointError(error.what());
  }
}

/// Elements of a shape, or CheckpointError where they pass what a file can hold.
int64_t checked_elements(const Shape& shape, const JsonReader& reader) {
  int64_t count = 1;
  for (const int64_t extent : shape)
    if (__builtin_mul_overflow(count, extent, &count) || count > kLargestFile)
      reader.fail("a size that a file can hold");
  return count;
}

void check_digest(const std::string& text, const std::string& where) {
  const size_t tail_size = digest_tail(std::string(32, '0')).size();
  if (text.size() < tail_size)
    throw CheckpointError(fmt::format("'{}' is damaged: it ends after {} bytes", where, text.size()));
  const std::string body = text.substr(0, text.size() - tail_size);
  const std::string actual = io::digest_of(body);
  if (!body.ends_with(kBeforeDigest) || text.substr(body.size()) != digest_tail(actual))
    throw CheckpointError(fmt::format("'{}' is damaged: its digest is {}, its last line says {}", where,
                                      actual, printable(std::string_view(text).substr(body.size() + 1, 32))));
}

SavedBox read_box(const JsonReader& reader, const SavedTensor& tensor, const Manifest& manifest) {
  SavedBox saved;
  saved.file = reader.member("file").file_name();
  saved.file_offset = reader.member("file_offset").number(0, kLargestFile);
  saved.num_bytes = reader.member("nbytes").number(1, kLargestFile);
  saved.box.offset = reader.member("offset").shape(0);
  saved.box.extent = reader.member("extent").shape(1);
  for (const JsonReader& digest : reader.member("digests").items())
    saved.digests.push_back(digest.hex_digest());
  const int64_t elements = checked_elements(saved.box.extent, reader.member("extent"));
  if (saved.num_bytes != elements * size_of(tensor.dtype))
    reader.member("nbytes").fail(fmt::format("{} x {} bytes", elements, size_of(tensor.dtype)));
  const int64_t blocks = (saved.num_bytes - 1) / manifest.block_bytes + 1;
  if (static_cast<int64_t>(saved.digests.size()) != blocks)
    reader.member("digests").fail(fmt::format("{} digests", blocks));
  const auto file = manifest.files.find(saved.file);
  if (file == manifest.files.end()) reader.member("file").fail("a file that is listed");
  if (saved.file_offset + saved.num_bytes > file->second.size)
    reader.member("file_offset").fail(fmt::format("a range inside {} bytes", file->second.size));
  return saved;
}

SavedTensor read_tensor(const JsonReader& reader, const Manifest& manifest) {
  SavedTensor tensor;
  tensor.name = reader.member("name").text();
  tensor.role = reader.member("role").text();
  tensor.shape = reader.member("shape").shape(1);
  checked_elements(tensor.shape, reader.member("shape"));
  try {
    tensor.dtype = dtype_from_name(reader.member("dtype").text());
  } catch (const ConfigError& error) {
    throw CheckpointError(fmt::format("{}: {}", reader.path(), error.what()));
  }
  tensor.parameter_group = reader.member("parameter_group").text();
  const JsonReader tied_to = reader.member("tied_to");
  if (!tied_to.is_null()) tensor.tied_to = tied_to.text();
  std::vector<Box> boxes;
  for (const JsonReader& item : reader.member("boxes").items()) {
    tensor.boxes.push_back(read_box(item, tensor, manifest));
    boxes.push_back(tensor.boxes.back().box);
  }
  if (!tensor.tied_to.empty()) {
    if (!boxes.empty()) reader.member("boxes").fail("no box in a tied tensor");
    return tensor;
  }
  if (const std::string error = coverage_error(tensor.shape, std::move(boxes)); !error.empty())
    throw CheckpointError(fmt::format("{} ({} {}): {}", reader.path(), tensor.role, tensor.name, error));
  return tensor;
}

TrainingState read_state(const JsonReader& root) {
  TrainingState state;
  state.run_id = root.member("run_id").text();
  state.parent_run_id = root.member("parent_run_id").text();
  state.step = root.member("step").number(0, kLargestCount);
  state.tokens = root.member("tokens").number(0, kLargestCount);
  state.samples = root.member("samples").number(0, kLargestCount);
  state.precision = root.member("precision").text();
  state.mesh_json = root.member("mesh").object_text();
  state.architecture_json = root.member("architecture").object_text();
  state.tokenizer_hash = root.member("tokenizer_hash").text();
  state.dataset_json = root.member("dataset").object_text();
  state.optimizer_json = root.member("optimizer").object_text();
  state.schedule_json = root.member("schedule").object_text();
  state.loss_scaler_json = root.member("loss_scaler").object_text();
  state.config_json = root.member("config").object_text();
  return state;
}

/// Tensors have one entry each, and no two boxes share bytes.
void check_apart(const Manifest& manifest, const std::string& where) {
  std::set<std::pair<Role, std::string>> names;
  std::map<std::string, std::vector<std::pair<int64_t, int64_t>>> ranges;
  for (const SavedTensor& tensor : manifest.tensors) {
    if (!names.insert({tensor.role, tensor.name}).second)
      throw CheckpointError(fmt::format("'{}' lists {} {} twice", where, tensor.role, tensor.name));
    for (const SavedBox& saved : tensor.boxes)
      ranges[saved.file].emplace_back(saved.file_offset, saved.file_offset + saved.num_bytes);
  }
  for (const SavedTensor& tensor : manifest.tensors)
    if (!tensor.tied_to.empty() && !names.contains({tensor.role, tensor.tied_to}))
      throw CheckpointError(fmt::format("'{}': {} {} is tied to {}, which is not there", where, tensor.role,
                                        tensor.name, tensor.tied_to));
  for (auto& [file, list] : ranges) {
    std::sort(list.begin(), list.end());
    for (size_t i = 1; i < list.size(); ++i)
      if (list[i].first < list[i - 1].second)
        throw CheckpointError(fmt::format("'{}': two boxes share byte {} of {}", where, list[i].first, file));
  }
}

}  // namespace

Manifest parse_manifest(const std::string& text, const std::string& where) {
  check_digest(text, where);
  const nlohmann::json parsed = parse(text, where);
  const JsonReader root(parsed, where + ": root");
  if (root.member("format").text() != kFormatName) root.member("format").fail(kFormatName);
  Manifest manifest;
  manifest.format_version = root.member("format_version").number(1, kLargestCount);
  if (manifest.format_version > kFormatVersion)
    throw NewerFormatError(fmt::format("'{}' has format {}; this program reads up to {}: use a newer one",
                                       where, manifest.format_version, kFormatVersion));
  manifest.writer = root.member("writer").text();
  for (const auto& [name, version] : root.member("libraries").members())
    manifest.libraries[name] = version.text();
  manifest.num_ranks = root.member("num_ranks").number(1, kMostRanks);
  manifest.state = read_state(root);
  manifest.architecture_hash = root.member("architecture_hash").hex_digest();
  if (manifest.architecture_hash != io::digest_of(manifest.state.architecture_json))
    root.member("architecture_hash").fail("the digest of 'architecture'");
  manifest.block_bytes = root.member("block_bytes").number(1, kBlockBytes);
  for (const auto& [name, file] : root.member("files").members()) {
    if (!io::is_plain_name(name)) file.fail("a file name without folders as its key");
    manifest.files[name] = {file.member("size").number(0, kLargestFile), file.member("digest").hex_digest()};
  }
  for (const JsonReader& item : root.member("tensors").items())
    manifest.tensors.push_back(read_tensor(item, manifest));
  check_apart(manifest, where);
  return manifest;
}

Manifest read_manifest(const std::string& step_directory) {
  const std::string path = step_directory + "/" + kManifestName;
  Manifest manifest;
  try {
    manifest = parse_manifest(io::read_file(path, kLargestManifest), path);
  } catch (const IoError& error) {
    throw CheckpointError(error.what());
  }
  const std::string name = step_directory_name(manifest.state.step);
  const std::string actual =
      std::filesystem::weakly_canonical(std::filesystem::path(step_directory)).filename().string();
  if (actual != name)
    throw CheckpointError(
        fmt::format("'{}' is of step {}; its directory should be {}", path, manifest.state.step, name));
  return manifest;
}

Manifest load_manifest(const std::string& step_directory) {
  Manifest manifest = read_manifest(step_directory);
  try {
    for (const auto& [file, expected] : manifest.files) {
      const int64_t size = io::File::open_to_read(step_directory + "/" + file).size();
      if (size != expected.size)
        throw CheckpointError(fmt::format("'{}/{}' is damaged: it has {} bytes instead of {}", step_directory,
                                          file, size, expected.size));
    }
  } catch (const IoError& error) {
    throw CheckpointError(error.what());
  }
  return manifest;
}

}  // namespace trireme::checkpoint
