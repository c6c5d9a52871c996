#include "launcher/commands/dataset_files.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/data/indexed_dataset.h"
#include "core/data/labels_file.h"
#include "core/text/tokenizer.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

/// Indices first.
std::vector<std::string> all_paths(const std::string& prefix) {
  const std::string source = source_prefix(prefix), target = target_prefix(prefix);
  return {idx_path(prefix),
          idx_path(source),
          idx_path(target),
          bin_path(prefix),
          bin_path(source),
          bin_path(target),
          labels_path(prefix),
          default_tokenizer_path(prefix),
          default_target_tokenizer_path(prefix)};
}

}  // namespace

void refuse_existing_dataset(const std::string& prefix) {
  for (const std::string& path : all_paths(prefix)) {
    std::error_code error;
    if (fs::exists(path, error))
      throw IoError(fmt::format("{} exists already; give another --output, or --overwrite", path),
                    ExitCode::kCannotCreate);
  }
}

void remove_dataset(const std::string& prefix) {
  std::error_code error;
  for (const std::string& path : all_paths(prefix)) fs::remove_all(path, error);
}

void make_parent_folder(const std::string& prefix) {
  const fs::path parent = fs::path(prefix).parent_path();
  std::error_code error;
  if (!parent.empty()) fs::create_directories(parent, error);
  if (error)
    throw IoError(fmt::format("{}: cannot make the folder: {}", parent.string(), error.message()),
                  ExitCode::kCannotCreate);
}

NewFolder::NewFolder(std::string final_path)
    : final_(std::move(final_path)), temporary_(fmt::format("{}.tmp-{}", final_, ::getpid())) {}

NewFolder::~NewFolder() {
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
}

void NewFolder::put_in_place() const {
  std::error_code error;
  fs::rename(temporary_, final_, error);
  if (error) throw IoError(fmt::format("{}: renaming into place failed: {}", final_, error.message()));
}

}  // namespace trireme
