#include "core/data/data_config.h"

#include <array>

namespace trireme {

void DataConfig::fields(FieldVisitor& visitor) {
  static constexpr std::array<std::pair<const char*, DataSource>, 2> kSources = {
      {{"indexed", DataSource::kIndexed}, {"synthetic", DataSource::kSynthetic}}};
  visitor.visit_choice<DataSource>(
      {"source",
       "indexed: token files that `trireme prepare` or Megatron-LM wrote; synthetic: random tokens."},
      source, kSources);
  visitor.visit({"data_path", "Prefixes of the .bin/.idx pairs to train on."}, data_path);
  visitor.visit(
      {"data_weights",
       "Share of each data_path in the samples, relative to their sum; empty: by number of tokens."},
      data_weights);
  visitor.visit(
      {"valid_data_path", "Prefixes of .bin/.idx pairs to validate on; empty: the end of each data_path."},
      valid_data_path);
  visitor.visit({"validation_fraction",
                 "Share of each data_path's tokens, at its end, kept for validation where valid_data_path is "
                 "empty; 0: no validation.",
                 "", 0.0, 0.999},
                validation_fraction);
  visitor.visit({"tokenizer_path",
                 "Tokenizer folder or file; empty: the folder PREFIX-tokenizer of the first data_path."},
                tokenizer_path);
  visitor.visit({"seq_length", "Tokens of a sample.", "tokens", 1, 1 << 24}, seq_length);
  visitor.visit({"document_mask",
                 "Tokens see only their own document: positions restart and no document predicts the next."},
                document_mask);
  visitor.visit({"prefetch", "Micro-batches prepared ahead; 0: none.", "micro-batches", 0, 1024}, prefetch);
}

}  // namespace trireme
