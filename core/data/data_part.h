#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/data/data_config.h"

namespace trireme {

enum class DataPart { kTraining, kValidation };
inline const char* name_of(DataPart part) {
  return part == DataPart::kTraining ? "training" : "validation";
}

/// The prefixes that a part is read from.
inline const std::vector<std::string>& prefixes_of(const DataConfig& config, DataPart part) {
  const bool own_files = part == DataPart::kValidation && !config.valid_data_path.empty();
  return own_files ? config.valid_data_path : config.data_path;
}

struct DataRange {
  int64_t begin;
  int64_t end;
  int64_t size() const { return end - begin; }
};

/// The tokens or documents of a file of `size` that a part takes: without files of its own, validation has
/// the last validation_fraction.
inline DataRange range_of(const DataConfig& config, DataPart part, int64_t size) {
  if (!config.valid_data_path.empty()) return {0, size};
  const auto bound = static_cast<int64_t>(static_cast<double>(size) * (1.0 - config.validation_fraction));
  return part == DataPart::kTraining ? DataRange{0, bound} : DataRange{bound, size};
}

}  // namespace trireme
