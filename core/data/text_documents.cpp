#include "core/data/text_documents.h"

#include <fmt/format.h>
#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

bool matches(const std::string& name, const std::vector<std::string>& patterns) {
  return patterns.empty() || std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
           return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
         });
}

std::vector<std::string> list_folder(const std::string& folder, const std::vector<std::string>& include) {
  std::vector<std::string> files;
  std::error_code error;
  fs::recursive_directory_iterator entries(folder, error);
  while (!error && entries != fs::recursive_directory_iterator()) {
    std::error_code broken_link;
    if (entries->is_regular_file(broken_link) && matches(entries->path().filename().string(), include))
      files.push_back(entries->path().string());
    entries.increment(error);
  }
  if (error) throw DataError(fmt::format("{}: cannot be listed: {}", folder, error.message()));
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::vector<std::string> list_text_files(const std::vector<std::string>& inputs,
                                         const std::vector<std::string>& include) {
  std::vector<std::string> files;
  for (const std::string& input : inputs) {
    std::error_code error;
    if (fs::is_directory(input, error)) {
      const auto found = list_folder(input, include);
      if (found.empty())
        throw DataError(
            fmt::format("{}: no file in this folder{}", input,
                        include.empty() ? "" : fmt::format(" matches {}", fmt::join(include, ", "))));
      files.insert(files.end(), found.begin(), found.end());
    } else {
      files.push_back(input);
    }
  }
  for (const std::string& file : files) {
    if (::access(file.c_str(), R_OK) != 0)
      throw DataError(fmt::format("{}: cannot be read: {}", file, last_system_error()));
    if (!fs::is_regular_file(file)) throw DataError(fmt::format("{}: is not a regular file", file));
  }
  return files;
}

bool is_jsonl(const std::string& path) {
  return path.ends_with(".jsonl") || path.ends_with(".jsonl.gz");
}

std::string RawDocument::text(const std::string& key) const {
  if (!is_json) return content;
  nlohmann::json line;
  try {
    line = nlohmann::json::parse(content);
  } catch (const nlohmann::json::exception& error) {
    throw DataError(fmt::format("{}: not JSON: {}", place, error.what()));
  }
  if (!line.is_object()) throw DataError(fmt::format("{}: not a JSON object", place));
  const auto found = line.find(key);
  if (found == line.end()) throw DataError(fmt::format("{}: has no key '{}'", place, key));
  if (!found->is_string())
    throw DataError(fmt::format("{}: '{}' is {}, expected a string", place, key, found->type_name()));
  return found->get<std::string>();
}

DocumentReader::DocumentReader(std::vector<std::string> files) : files_(std::move(files)) {}

std::vector<RawDocument> DocumentReader::next(int64_t bytes) {
  std::vector<RawDocument> documents;
  const int64_t end = bytes_read_ + bytes;
  while (bytes_read_ < end || documents.empty()) {
    if (lines_) {
      read_line(documents);
      continue;
    }
    if (next_file_ == files_.size()) break;
    const std::string& file = files_[next_file_++];
    if (is_jsonl(file)) {
      lines_.emplace(file);
    } else {
      documents.push_back({read_text(file), file, false});
      bytes_read_ += static_cast<int64_t>(documents.back().content.size());
    }
  }
  return documents;
}

void DocumentReader::read_line(std::vector<RawDocument>& documents) {
  std::string line;
  const int64_t before = lines_->bytes_read();
  if (!lines_->next(line)) {
    lines_.reset();
    return;
  }
  bytes_read_ += lines_->bytes_read() - before;
  if (line.find_first_not_of(" \t\r") == std::string::npos) return;
  documents.push_back({std::move(line), lines_->place(), true});
}

}  // namespace trireme
