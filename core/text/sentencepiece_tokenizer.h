#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/tokenizer.h"

namespace trireme {

/// A SentencePiece model (Kudo and Richardson 2018) through its library. Its control and unknown pieces are
/// the special tokens; [CLS], [SEP] and [MASK] are known by these names. Takes any bytes (what is not UTF-8
/// becomes U+FFFD). Text between two special tokens is encoded, and decoded, by itself. It is stored as the
/// library does: the folder holds tokenizer.model.
class SentencePieceTokenizer : public Tokenizer {
 public:
  /// `model`: the bytes of a .model file. Throws DataError when it is none.
  static std::unique_ptr<SentencePieceTokenizer> parse(std::string model);
  ~SentencePieceTokenizer() override;

  std::vector<int32_t> encode(std::string_view text, SpecialTokens special) const override;
  std::string kind() const override { return "SentencePiece"; }
  /// A model normalizes and looks across spaces.
  bool may_be_cut() const override { return false; }

 protected:
  std::string join(std::span<const int32_t> ids) const override;
  std::string hashed_details() const override;
  StoredFile stored() const override;

 private:
  struct Library;
  explicit SentencePieceTokenizer(std::unique_ptr<Library> library);

  std::unique_ptr<Library> library_;
};

/// The library's kinds of model: a language model over pieces (Kudo 2018), or merges of pairs.
enum class SentencePieceModel { kUnigram, kBpe };

struct SentencePieceTrainingOptions {
  int64_t vocab_size = 8192;  ///< fewer where the text has no more pieces
  SentencePieceModel model = SentencePieceModel::kUnigram;
};

/// Collects lines, then lets the library learn pieces; all else is as the library has it (nmt_nfkc
/// normalization, case kept), but that <pad>, <unk>, <s>, </s> are the ids 0 to 3.
class SentencePieceTrainer {
 public:
  explicit SentencePieceTrainer(SentencePieceTrainingOptions options) : options_(options) {}
  /// Each line of the texts is a sentence.
  void add(std::span<const std::string_view> texts);
  /// Throws DataError when no text was added, ConfigError with the library's words when it cannot learn as
  /// asked.
  std::unique_ptr<SentencePieceTokenizer> train() const;

 private:
  SentencePieceTrainingOptions options_;
  std::vector<std::string> sentences_;
};

}  // namespace trireme
