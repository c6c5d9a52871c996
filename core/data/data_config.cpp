#include "core/data/data_config.h"

#include <array>

namespace trireme {

void DataConfig::fields(FieldVisitor& visitor) {
  static constexpr std::array<std::pair<const char*, DataSource>, 2> kSources = {
      {{"indexed", DataSource::kIndexed}, {"synthetic", DataSource::kSynthetic}}};
  visitor.visit_choice<DataSource>(
      {"source",
       "indexed: token files that `trireme prepare` or Megatron-LM wrote; synthetic: random tokens in their "
       "place, to try a run: what is said of taking samples from files then does nothing."},
      source, kSources);
  visitor.visit(
      {"data_path",
       "Prefixes of what to train on: .bin/.idx pairs, of translation with .source and .target before them."},
      data_path);
  visitor.visit(
      {"data_weights",
       "Share of each data_path in the samples, relative to their sum; empty: by number of tokens."},
      data_weights);
  visitor.visit(
      {"valid_data_path", "Prefixes of .bin/.idx pairs to validate on; empty: the end of each data_path."},
      valid_data_path);
  visitor.visit(
      {"validation_fraction",
       "Share of each data_path's tokens (where samples have their own length, of its documents), at its "
       "end, kept for validation where valid_data_path is empty; 0: no validation.",
       "", 0.0, 0.999},
      validation_fraction);
  visitor.visit({"tokenizer_path",
                 "Tokenizer folder or file; empty: the folder PREFIX-tokenizer of the first data_path."},
                tokenizer_path);
  visitor.visit({"target_tokenizer_path",
                 "Tokenizer of the target sentences; empty: the folder PREFIX-target-tokenizer of the first "
                 "data_path, or where there is none, the tokenizer of the source."},
                target_tokenizer_path);
  visitor.visit({"seq_length", "Tokens of a sample; the most where samples have their own length.", "tokens",
                 1, 1 << 24},
                seq_length);
  visitor.visit({"document_mask",
                 "Tokens see only their own document: positions restart and no document predicts the next."},
                document_mask);
  visitor.visit({"prefetch", "Micro-batches prepared ahead; 0: none.", "micro-batches", 0, 1024}, prefetch);
  fields_of_padding(visitor);
  fields_of_masking(visitor);
}

void DataConfig::fields_of_padding(FieldVisitor& visitor) {
  visitor.visit({"pad_to_seq_length",
                 "Samples of their own length are padded to seq_length, not to the longest of the "
                 "micro-batch."},
                pad_to_seq_length);
  visitor.visit({"pad_to_multiple",
                 "The longest of the micro-batch is padded to a multiple of this; seq_length must be one.",
                 "tokens", 1, 1 << 24},
                pad_to_multiple);
  visitor.visit({"length_bucket",
                 "So many samples at a time are sorted by length, so that a step's are alike and little is "
                 "padded; for translation and classification; 0: no sorting.",
                 "samples", 0},
                length_bucket);
}

void DataConfig::fields_of_masking(FieldVisitor& visitor) {
  visitor.visit({"mask_prob",
                 "Share of a sample's tokens that BERT predicts: 80 % masked, 10 % random, 10 % unchanged.",
                 "", 0.0, 1.0},
                mask_prob);
  visitor.visit(
      {"max_predictions_per_seq", "Most tokens of a sample that BERT predicts; 0: no limit.", "tokens", 0},
      max_predictions_per_seq);
  visitor.visit({"whole_word_mask", "BERT masks all pieces of a word, or none."}, whole_word_mask);
  visitor.visit(
      {"mask_by_attention",
       "Where BERT would read [MASK] it reads a position and a segment alone, and no token attends to "
       "it (a score of minus infinity)."},
      mask_by_attention);
  visitor.visit({"short_seq_prob",
                 "Share of BERT's samples that are shorter than seq_length, of any length down to 2 tokens.",
                 "", 0.0, 1.0},
                short_seq_prob);
}

}  // namespace trireme
