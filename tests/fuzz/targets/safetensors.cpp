#include "core/io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/base/error.h"
#include "tests/fuzz/targets/require.h"
#include "tests/fuzz/targets/targets.h"

namespace trireme::fuzz {
namespace {

/// What reading a tensor relies on without looking again.
void check_taken(const SafetensorsHeader& header, int64_t data_begin, int64_t file_bytes) {
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (const auto& [name, entry] : header.entries) {
    FUZZ_REQUIRE(entry.begin >= data_begin && entry.begin <= entry.end && entry.end <= file_bytes);
    FUZZ_REQUIRE(entry.end - entry.begin == num_elements(entry.shape) * size_of(entry.dtype));
    ranges.emplace_back(entry.begin, entry.end);
  }
  std::sort(ranges.begin(), ranges.end());
  int64_t covered = data_begin;
  for (const auto& [begin, end] : ranges) {
    FUZZ_REQUIRE(begin == covered);
    covered = end;
  }
  FUZZ_REQUIRE(covered == file_bytes);
}

}  // namespace

void safetensors(std::string_view bytes) {
  uint32_t data_bytes = 0;
  if (bytes.size() < sizeof(data_bytes)) return;
  std::memcpy(&data_bytes, bytes.data(), sizeof(data_bytes));
  bytes.remove_prefix(sizeof(data_bytes));
  const int64_t file_bytes = static_cast<int64_t>(bytes.size()) + data_bytes;
  try {
    const SafetensorsHeader header = parse_safetensors_header(bytes, file_bytes, "fuzz");
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof(length));
    check_taken(header, static_cast<int64_t>(sizeof(length) + length), file_bytes);
  } catch (const DataError& error) {
    const std::string_view message = error.what();
    FUZZ_REQUIRE(std::all_of(message.begin(), message.end(), [](char c) { return c >= ' ' && c <= '~'; }));
  }
}

}  // namespace trireme::fuzz
