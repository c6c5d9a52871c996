#pragma once

#include <memory>
#include <string>

#include "core/data/data_config.h"
#include "core/data/sample_needs.h"
#include "core/text/tokenizer.h"
#include "launcher/config/problems.h"

namespace trireme {

/// The tokenizers of a run's data; null where there is none.
struct RunTokenizers {
  std::unique_ptr<Tokenizer> tokens;  ///< of what the model reads or predicts: in translation, of the target
  std::unique_ptr<Tokenizer> source;  ///< of translation's source; null: the same
  std::string tokens_path, source_path;

  /// Of both, for checkpoints; empty: no tokenizer.
  std::string content_hash() const;
};

/// Throws DataError where a tokenizer that is there cannot be used.
RunTokenizers load_tokenizers(const DataConfig& data, Objective objective);

/// What the objective of `needs` asks of the tokens. Adds a problem for every special token that is missing.
TokenRoles token_roles(const RunTokenizers& tokenizers, const DataConfig& data, const SampleNeeds& needs,
                       ConfigProblems& problems);

}  // namespace trireme
