#pragma once

#include <stdlib.h>

#include <memory>
#include <string>
#include <vector>

#include "parallel/checkpoint/checkpoint_store.h"

namespace trireme::testing {

/// A model's parameters and optimizer without the model: a packed query-key-value weight, a matrix of 7 rows
/// (uneven over 2 and 3 ranks), a matrix of `ffn` rows of
/// `width` large enough to be divided, norms and biases, AdamW.
/// Values depend on `seed`, every number is distinct.
class CheckpointRun {
 public:
  explicit CheckpointRun(Precision precision = Precision::kFp32, uint64_t seed = 1, int64_t vocabulary = 7,
                         int64_t ffn = 200, int64_t width = 96);

  Context context;
  std::vector<std::unique_ptr<Parameter>> parameters;
  std::unique_ptr<ParameterStore> store;
  std::unique_ptr<Optimizer> optimizer;
  TrainingState state;  ///< of step 12; expectations at restore

  /// Every byte of values, masters and optimizer state.
  std::string content() const;
};

/// The value of TRIREME_FAULT for a scope in which no save is under way at either end.
class Fault {
 public:
  explicit Fault(const std::string& fault) { ::setenv("TRIREME_FAULT", fault.c_str(), 1); }
  ~Fault() { ::unsetenv("TRIREME_FAULT"); }
};

}  // namespace trireme::testing
