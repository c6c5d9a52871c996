#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/generation/translate.h"
#include "core/text/tokenizer.h"

namespace trireme {

/// The lines of a text file, without their ends. IoError where it cannot be read.
std::vector<std::string> read_lines(const std::string& path);

/// Translates lines with an encoder-decoder, many at once.
class LineTranslator {
 public:
  /// The tokenizer of the targets is the folder beside `source_path` that `trireme prepare` wrote for them,
  /// or the source's. Throws ConfigError where one of them has no token for what a sentence begins or ends
  /// with.
  LineTranslator(Context& context, Model& model, const Tokenizer& source, const std::string& source_path,
                 int64_t max_tokens, const SamplingOptions& sampling);
  std::vector<std::string> translate(const std::vector<std::string>& lines);

 private:
  const Tokenizer& target() const { return target_ ? *target_ : source_; }

  Context& context_;
  Model& model_;
  const Tokenizer& source_;
  std::unique_ptr<Tokenizer> target_;  ///< null: the source's
  TranslationOptions options_;
};

}  // namespace trireme
