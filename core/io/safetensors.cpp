#include "core/io/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/base/error.h"

namespace trireme {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr int64_t kLengthBytes = 8;
constexpr int64_t kLargestHeader = 100'000'000;

[[noreturn]] void damaged(const std::filesystem::path& path, const std::string& what) {
  throw DataError(fmt::format("{}: not a valid safetensors file: {}", path.string(), what));
}

DType dtype_of(const std::filesystem::path& path, const std::string& name, const std::string& text) {
  static constexpr std::pair<const char*, DType> kNames[] = {
      {"F64", DType::kFloat64}, {"F32", DType::kFloat32}, {"BF16", DType::kBFloat16},
      {"F16", DType::kFloat16}, {"I64", DType::kInt64},   {"I32", DType::kInt32},
      {"U16", DType::kUInt16},  {"U8", DType::kUInt8}};
  for (const auto& [known, dtype] : kNames)
    if (text == known) return dtype;
  damaged(path, fmt::format("tensor '{}' has type '{}'; known: F64, F32, BF16, F16, I64, I32, U16, U8", name,
                            text));
}

std::ifstream open(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw IoError(fmt::format("{}: cannot be opened: {}", path.string(), std::strerror(errno)));
  return file;
}

void read_bytes(std::ifstream& file, const std::filesystem::path& path, void* target, int64_t count) {
  file.read(static_cast<char*>(target), count);
  if (file.gcount() != count) throw IoError(fmt::format("{}: read failed or the file shrank", path.string()));
}

/// Bytes of a shape; refuses negative extents and products beyond `limit`.
int64_t checked_bytes(const std::filesystem::path& path, const std::string& name, const Shape& shape,
                      DType dtype, int64_t limit) {
  int64_t bytes = size_of(dtype);
  bool empty = false;
  for (const int64_t extent : shape) {
    if (extent < 0) damaged(path, fmt::format("tensor '{}' has shape {}", name, to_string(shape)));
    empty = empty || extent == 0;
  }
  if (empty) return 0;
  for (const int64_t extent : shape) {
    if (extent > limit / bytes)
      damaged(path, fmt::format("tensor '{}' of shape {} is larger than the file", name, to_string(shape)));
    bytes *= extent;
  }
  return bytes;
}

SafetensorsFile::Entry parse_entry(const std::filesystem::path& path, const std::string& name,
                                   const nlohmann::json& value, int64_t data_begin, int64_t file_size) {
  if (!value.is_object() || !value.contains("dtype") || !value["dtype"].is_string() ||
      !value.contains("shape") || !value["shape"].is_array() || !value.contains("data_offsets") ||
      !value["data_offsets"].is_array() || value["data_offsets"].size() != 2)
    damaged(path, fmt::format("tensor '{}' lacks dtype, shape or data_offsets", name));
  const auto number = [&](const nlohmann::json& item) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() > static_cast<uint64_t>(file_size))
      damaged(path, fmt::format("tensor '{}' has a size or an offset outside the file: {}", name,
                                item.dump().substr(0, 40)));
    return item.get<int64_t>();
  };
  SafetensorsFile::Entry entry{.dtype = dtype_of(path, name, value["dtype"].get<std::string>()),
                               .shape = {},
                               .begin = data_begin + number(value["data_offsets"][0]),
                               .end = data_begin + number(value["data_offsets"][1])};
  for (const auto& extent : value["shape"]) entry.shape.push_back(number(extent));
  const int64_t bytes = checked_bytes(path, name, entry.shape, entry.dtype, file_size);
  if (entry.begin > entry.end || entry.end > file_size || entry.end - entry.begin != bytes)
    damaged(path, fmt::format("tensor '{}' of {} bytes lies at [{}, {}) of {} bytes", name, bytes,
                              entry.begin, entry.end, file_size));
  return entry;
}

void check_coverage(const std::filesystem::path& path,
                    const std::map<std::string, SafetensorsFile::Entry>& entries, int64_t data_begin,
                    int64_t file_size) {
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (const auto& [name, entry] : entries) ranges.emplace_back(entry.begin, entry.end);
  std::sort(ranges.begin(), ranges.end());
  int64_t covered = data_begin;
  for (const auto& [begin, end] : ranges) {
    if (begin != covered)
      damaged(path, fmt::format("tensors overlap or leave a hole at byte {}", std::min(begin, covered)));
    covered = end;
  }
  if (covered != file_size) damaged(path, fmt::format("{} bytes belong to no tensor", file_size - covered));
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path) {
  std::ifstream file = open(path);
  std::error_code error;
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path, error));
  if (error) throw IoError(fmt::format("{}: {}", path.string(), error.message()));
  if (size < kLengthBytes) damaged(path, fmt::format("it has {} bytes", size));
  uint64_t length = 0;
  read_bytes(file, path, &length, kLengthBytes);
  if (length > static_cast<uint64_t>(std::min(kLargestHeader, size - kLengthBytes)))
    damaged(path, fmt::format("a header of {} bytes in a file of {} bytes (at most {} are read)", length,
                              size, kLargestHeader));
  std::string text(length, '\0');
  read_bytes(file, path, text.data(), static_cast<int64_t>(length));
  const nlohmann::json header = nlohmann::json::parse(text, nullptr, false);
  if (!header.is_object()) damaged(path, "its header is not a JSON object");
  const int64_t data_begin = kLengthBytes + static_cast<int64_t>(length);
  for (const auto& [name, value] : header.items()) {
    if (name != "__metadata__") {
      entries_[name] = parse_entry(path, name, value, data_begin, size);
      continue;
    }
    if (!value.is_object()) damaged(path, "__metadata__ is not an object");
    for (const auto& [key, item] : value.items()) {
      if (!item.is_string()) damaged(path, "__metadata__ holds something that is not a string");
      metadata_[key] = item.get<std::string>();
    }
  }
  check_coverage(path, entries_, data_begin, size);
}

Tensor SafetensorsFile::read(Context& context, const std::string& name, MemoryCategory category) const {
  const auto found = entries_.find(name);
  if (found == entries_.end())
    throw DataError(fmt::format("{}: there is no tensor '{}'", path_.string(), name));
  const Entry& entry = found->second;
  Tensor tensor = Tensor::allocate(context.allocator, entry.shape, entry.dtype, category);
  std::ifstream file = open(path_);
  file.seekg(entry.begin);
  read_bytes(file, path_, tensor.raw(), entry.end - entry.begin);
  return tensor;
}

}  // namespace trireme
