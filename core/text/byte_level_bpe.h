#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/text/bpe_merges.h"
#include "core/text/tokenizer.h"
#include "core/text/word_splitter.h"

namespace trireme {

/// What makes a byte-level BPE tokenizer. All 256 single bytes are among the tokens.
struct BpeVocabulary {
  std::vector<std::string> tokens;  ///< bytes by id; the text for special tokens
  std::vector<TokenPair> merges;    ///< by rank
  std::vector<int32_t> special_ids;
};

/// GPT-2's tokenizer (Radford et al. 2019): text is cut into words (WordSplitter), the bytes of each word are
/// merged pair by pair. Takes any bytes; decode(encode(text)) == text always.
class ByteLevelBpe : public Tokenizer {
 public:
  /// Throws DataError when the vocabulary contradicts itself: a byte without token, a merge whose result is
  /// no token, a token or merge twice, an empty token.
  explicit ByteLevelBpe(BpeVocabulary vocabulary);
  ~ByteLevelBpe() override;

  std::vector<int32_t> encode(std::string_view text, SpecialTokens special) const override;
  std::string kind() const override { return "byte-level BPE"; }
  const std::vector<TokenPair>& merges() const { return pairs_; }

 protected:
  std::string hashed_details() const override;
  StoredFile stored() const override;

 private:
  struct Scratch;
  void encode_stretch(std::string_view text, Scratch& scratch, std::vector<int32_t>& ids) const;
  std::unique_ptr<Scratch> borrow_scratch() const;

  std::vector<TokenPair> pairs_;
  std::array<int32_t, 256> byte_ids_{};
  WordSplitter splitter_;
  std::unique_ptr<BpeMerges> merges_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Scratch>> idle_;  ///< one per thread that ever encoded at once
};

}  // namespace trireme
