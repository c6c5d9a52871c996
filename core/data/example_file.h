#pragma once

#include <cstdint>
#include <string>

#include "core/data/padded_batch.h"

namespace trireme {

/// Examples of their own lengths, each a pure function of the files and its number. Immutable, so
/// thread-safe.
class ExampleFile {
 public:
  virtual ~ExampleFile() = default;

  virtual const std::string& prefix() const = 0;
  virtual int64_t num_examples() const = 0;
  virtual int64_t num_left_out() const { return 0; }  ///< examples too long to be among them
  /// What an example costs, for length buckets: its tokens.
  virtual int64_t num_tokens(int64_t example) const = 0;
  /// Throws DataError naming file and place.
  virtual SampleContent make(int64_t example) const = 0;
  /// All that decides the examples, for fingerprints.
  virtual std::string description() const = 0;
};

}  // namespace trireme
