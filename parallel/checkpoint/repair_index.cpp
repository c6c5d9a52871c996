#include "parallel/checkpoint/repair_index.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/io/digest.h"
#include "core/io/directory.h"
#include "core/io/directory_lock.h"
#include "core/io/file.h"
#include "parallel/checkpoint/fault.h"
#include "parallel/checkpoint/index_file.h"
#include "parallel/checkpoint/inspection.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/retention.h"

namespace trireme {

using namespace checkpoint;

namespace {

namespace fs = std::filesystem;

void refuse_damage(const std::string& step, const std::vector<std::string>& damages) {
  if (!damages.empty())
    throw CheckpointError(fmt::format("'{}' is not repaired, more than its index is damaged:\n  {}", step,
                                      fmt::join(damages, "\n  ")));
}

bool is_what_the_manifest_says(const std::string& step, const Manifest& manifest) {
  const auto file = manifest.files.find(kIndexName);
  return file != manifest.files.end() && verify_file(step, manifest, kIndexName).empty();
}

/// The step with another index and a manifest that says so, in place of the one before. `step`: canonical.
void exchange_step(const std::string& step, Manifest manifest, const std::string& index) {
  manifest.files[kIndexName] = {static_cast<int64_t>(index.size()), io::digest_of(index)};
  const std::string name = fs::path(step).filename().string();
  io::TemporaryDirectory copy(fmt::format("{}/.tmp-{}-repair", io::parent_directory(step), name));
  for (const auto& [file, saved] : manifest.files)
    if (file != kIndexName) io::link_file(step + "/" + file, copy.path() + "/" + file);
  io::write_new_file(copy.path() + "/" + kIndexName, index);
  io::write_new_file(copy.path() + "/" + kManifestName, to_json(manifest));
  io::sync_directory(copy.path());
  fault_point("repair", 0);
  io::exchange_directories(copy.path(), step);
  fault_point("exchange", 0);
}

}  // namespace

IndexRepair repair_index(const std::string& step) {
  const Manifest manifest = read_manifest(step);
  const std::string canonical = fs::canonical(step).string();
  const io::DirectoryLock lock(io::parent_directory(canonical), "trireme checkpoint repair-index");
  remove_leftovers(io::parent_directory(canonical));  // of a repair that was killed
  std::vector<std::string> damages;
  for (const auto& [name, file] : manifest.files)
    if (name != kIndexName)
      for (std::string& line : verify_file(step, manifest, name)) damages.push_back(std::move(line));
  refuse_damage(step, damages);
  if (is_what_the_manifest_says(step, manifest)) return IndexRepair::kSound;

  const std::string index = index_bytes(manifest);
  const auto said = manifest.files.find(kIndexName);
  const bool same = said != manifest.files.end() && said->second.digest == io::digest_of(index);
  if (same) {
    replace_file(step + "/" + kIndexName, index);
  } else {
    exchange_step(canonical, manifest, index);
  }
  refuse_damage(step, verify_checkpoint(step));
  return same ? IndexRepair::kRebuilt : IndexRepair::kRebuiltWithManifest;
}

}  // namespace trireme
