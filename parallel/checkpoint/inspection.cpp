#include "parallel/checkpoint/inspection.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <span>

#include "core/base/error.h"
#include "core/io/digest.h"
#include "core/io/file.h"
#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/checkpoint/step_directory.h"
#include "parallel/checkpoint/tensor_reader.h"

namespace trireme {

using namespace checkpoint;

namespace {

constexpr int64_t kPiece = int64_t{16} << 20;

std::string digest_of_file(const std::string& path) {
  const io::File file = io::File::open_to_read(path);
  const int64_t size = file.size();
  std::vector<std::byte> buffer(static_cast<size_t>(std::min(size, kPiece)));
  io::Digest digest;
  for (int64_t begin = 0; begin < size; begin += kPiece) {
    const auto piece = std::span(buffer).first(static_cast<size_t>(std::min(kPiece, size - begin)));
    file.read_at(begin, piece);
    digest.update(piece);
  }
  return digest.hex();
}

}  // namespace

std::vector<StepSummary> list_checkpoints(const std::string& directory) {
  std::vector<StepSummary> summaries;
  for (const int64_t step : committed_steps(directory)) {
    StepSummary summary{step, directory + "/" + step_directory_name(step), 0, 0, ""};
    try {
      const Manifest manifest = load_manifest(summary.path);
      for (const auto& [name, file] : manifest.files) summary.num_bytes += file.size;
      summary.tokens = manifest.state.tokens;
    } catch (const CheckpointError& error) {
      summary.damage = error.what();
    }
    summaries.push_back(std::move(summary));
  }
  return summaries;
}

std::string find_step(const std::string& path) {
  if (std::filesystem::exists(path + "/manifest.json")) return path;
  const std::string steps =
      std::filesystem::is_directory(path + "/checkpoints") ? path + "/checkpoints" : path;
  const std::optional<std::string> newest =
      std::filesystem::is_directory(steps) ? newest_checkpoint(steps) : std::nullopt;
  if (!newest)
    throw CheckpointError(
        fmt::format("{}: no checkpoint here; train the run first, or give --checkpoint", steps));
  return *newest;
}

std::vector<std::string> verify_file(const std::string& step_directory, const Manifest& manifest,
                                     const std::string& name) {
  const std::string path = step_directory + "/" + name;
  const SavedFile& expected = manifest.files.at(name);
  std::vector<std::string> damages;
  try {
    const int64_t size = io::File::open_to_read(path).size();
    if (size != expected.size)
      return {fmt::format("'{}' is damaged: it has {} bytes instead of {}", path, size, expected.size)};
    if (const std::string actual = digest_of_file(path); actual != expected.digest)
      damages.push_back(fmt::format("'{}' is damaged: the file has digest {} instead of {}", path, actual,
                                    expected.digest));
    for (std::string& line : check_blocks(step_directory, manifest, name)) damages.push_back(std::move(line));
  } catch (const IoError& error) {
    damages.emplace_back(error.what());
  }
  return damages;
}

std::vector<std::string> verify_checkpoint(const std::string& step_directory) {
  std::vector<std::string> damages;
  try {
    const Manifest manifest = load_manifest(step_directory);
    for (const auto& [name, file] : manifest.files)
      for (std::string& line : verify_file(step_directory, manifest, name))
        damages.push_back(std::move(line));
  } catch (const Error& error) {
    damages.emplace_back(error.what());
  }
  return damages;
}

}  // namespace trireme
