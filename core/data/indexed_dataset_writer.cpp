#include "core/data/indexed_dataset_writer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <limits>
#include <utility>

#include "core/base/check.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/data/indexed_dataset.h"
#include "core/data/indexed_format.h"

namespace trireme {
namespace {

std::FILE* create(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr)
    throw IoError(fmt::format("{}: cannot be created: {}", path, last_system_error()),
                  ExitCode::kCannotCreate);
  return file;
}

/// Closes; false when the bytes did not reach the disk.
bool close_safely(std::FILE* file) {
  const bool flushed = std::fflush(file) == 0 && ::fsync(::fileno(file)) == 0;
  return std::fclose(file) == 0 && flushed;
}

void rename_file(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0)
    throw IoError(fmt::format("{}: renaming into place failed: {}", to, last_system_error()));
}

}  // namespace

IndexedDatasetWriter::IndexedDatasetWriter(const std::string& prefix, int64_t vocab_size)
    : prefix_(prefix),
      temporary_bin_(fmt::format("{}.tmp-{}", bin_path(prefix), ::getpid())),
      temporary_idx_(fmt::format("{}.tmp-{}", idx_path(prefix), ::getpid())),
      vocab_size_(vocab_size),
      dtype_(smallest_token_dtype(vocab_size)),
      bin_(create(temporary_bin_)) {}

IndexedDatasetWriter::~IndexedDatasetWriter() {
  discard();
}

void IndexedDatasetWriter::discard() {
  if (bin_ != nullptr) std::fclose(bin_);
  bin_ = nullptr;
  ::unlink(temporary_bin_.c_str());
  ::unlink(temporary_idx_.c_str());
}

void IndexedDatasetWriter::write(std::FILE* file, const std::string& path, const void* data, size_t size) {
  if (size != 0 && std::fwrite(data, 1, size, file) != size)
    throw IoError(fmt::format("{}: writing failed: {}", path, last_system_error()));
}

void IndexedDatasetWriter::add_document(std::span<const int32_t> ids) {
  add_sequence(ids);
  end_document();
}

void IndexedDatasetWriter::end_document() {
  bounds_.push_back(num_sequences());
}

void IndexedDatasetWriter::add_sequence(std::span<const int32_t> ids) {
  TRIREME_ASSERT(bin_ != nullptr, "add_sequence after commit");
  if (ids.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
    throw DataError(fmt::format("a sequence of {} tokens is too long for the format", ids.size()));
  for (const int32_t id : ids)
    TRIREME_ASSERT(id >= 0 && id < vocab_size_, fmt::format("token {} of {}", id, vocab_size_));
  if (dtype_ == TokenDType::kUInt16) {
    narrow_.assign(ids.begin(), ids.end());
    write(bin_, temporary_bin_, narrow_.data(), narrow_.size() * 2);
  } else {
    write(bin_, temporary_bin_, ids.data(), ids.size() * 4);
  }
  sizes_.push_back(static_cast<int32_t>(ids.size()));
  num_tokens_ += static_cast<int64_t>(ids.size());
}

void IndexedDatasetWriter::write_index() {
  std::FILE* file = create(temporary_idx_);
  try {
    const auto put = [&](auto value) { write(file, temporary_idx_, &value, sizeof(value)); };
    write(file, temporary_idx_, kIndexMagic, sizeof(kIndexMagic));
    put(kIndexVersion);
    put(static_cast<uint8_t>(dtype_));
    put(static_cast<uint64_t>(sizes_.size()));
    put(static_cast<uint64_t>(bounds_.size()));
    write(file, temporary_idx_, sizes_.data(), sizes_.size() * 4);
    int64_t pointer = 0;
    for (const int32_t size : sizes_) {
      put(pointer);
      pointer += size * size_of(dtype_);
    }
    write(file, temporary_idx_, bounds_.data(), bounds_.size() * 8);
  } catch (...) {
    std::fclose(file);
    throw;
  }
  if (!close_safely(file))
    throw IoError(fmt::format("{}: writing failed: {}", temporary_idx_, last_system_error()));
}

void IndexedDatasetWriter::commit() {
  TRIREME_ASSERT(bin_ != nullptr, "commit twice");
  TRIREME_ASSERT(bounds_.back() == num_sequences(), "commit inside a document");
  write_index();
  if (!close_safely(std::exchange(bin_, nullptr)))
    throw IoError(fmt::format("{}: writing failed: {}", temporary_bin_, last_system_error()));
  // An index of another data set must never stand beside the new tokens.
  ::unlink(idx_path(prefix_).c_str());
  rename_file(temporary_bin_, bin_path(prefix_));
  rename_file(temporary_idx_, idx_path(prefix_));
}

}  // namespace trireme
