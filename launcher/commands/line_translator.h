#pragma once

#include <string>
#include <vector>

#include "core/generation/translate.h"
#include "launcher/config/run_tokenizers.h"

namespace trireme {

/// The lines of a text file, without their ends. IoError where it cannot be read.
std::vector<std::string> read_lines(const std::string& path);

/// Translates lines with an encoder-decoder, many at once.
class LineTranslator {
 public:
  /// Throws ConfigError where there is no tokenizer, or one has no token for what a sentence begins or ends
  /// with. Context and model must outlive it.
  LineTranslator(Context& context, Model& model, RunTokenizers tokenizers, int64_t max_tokens,
                 const SamplingOptions& sampling);
  std::vector<std::string> translate(const std::vector<std::string>& lines);

 private:
  const Tokenizer& source() const { return tokenizers_.source ? *tokenizers_.source : *tokenizers_.tokens; }
  const Tokenizer& target() const { return *tokenizers_.tokens; }

  Context& context_;
  Model& model_;
  RunTokenizers tokenizers_;
  TranslationOptions options_;
};

}  // namespace trireme
