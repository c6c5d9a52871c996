#pragma once

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "core/base/fields.h"
#include "core/data/data_config.h"
#include "core/models/model_config.h"
#include "core/optim/optimizer_config.h"
#include "launcher/train/training_config.h"
#include "parallel/checkpoint/checkpoint_config.h"
#include "parallel/mesh/parallel_config.h"

namespace trireme {

/// Everything a run file says.
struct RunConfig {
  ModelConfig model;
  DataConfig data;
  TrainingConfig training;
  OptimizerConfig optimizer;
  PrecisionConfig precision;
  ParallelConfig parallel;
  CheckpointConfig checkpoint;
};

/// One section of a run file: its name, a line about it and its fields.
struct ConfigSection {
  const char* name;
  const char* help;
  std::function<void(FieldVisitor&)> fields;
};

/// The sections in the order of printing. They point into `config`, which must outlive them.
std::vector<ConfigSection> sections_of(RunConfig& config);

/// A value of any type a field can have.
using FieldValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<double>,
                                std::vector<std::string>>;

enum class FieldType { kBool, kInteger, kNumber, kString, kIntegerList, kNumberList, kStringList };

/// A field, where it stands and what it holds: what printing, documentation, the schema and completion read.
struct FieldEntry {
  std::string section;
  Field field;
  FieldType type;
  FieldValue value;

  std::string key() const { return section + "." + field.name; }
};

/// Every field of every section with its value in `config`, in the order of declaration.
std::vector<FieldEntry> list_fields(const RunConfig& config);

/// "an integer from 1 to 8", "one of adamw, sgd", "true or false", ...
std::string expectation(const Field& field, FieldType type);

}  // namespace trireme
