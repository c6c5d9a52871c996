#include "core/text/text_behind.h"

#include <gtest/gtest.h>

#include "core/text/character_tokenizer.h"
#include "core/text/wordpiece.h"
#include "core/text/words_tokenizer.h"
#include "tests/support/paths.h"

namespace trireme {
namespace {

/// The text of ids, printed one by one.
std::string printed(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  std::string text;
  std::optional<int32_t> previous;
  for (const int32_t id : ids) {
    text += text_behind(tokenizer, previous, id);
    previous = id;
  }
  return text;
}

TEST(TextBehind, AddsUpToTheDecodedText) {
  const WordPieceTokenizer wordpiece({.tokens = {"[UNK]", "un", "##aff", "##able", "want", ","}, .text = {}});
  EXPECT_EQ(printed(wordpiece, {1, 2, 3, 5, 4, 0}), "unaffable , want [UNK]");
  const WordsTokenizer words({"man", "'s", "t", "@-@", "shirt", ".", "("}, true);
  EXPECT_EQ(printed(words, {4, 5, 6, 7, 8, 10, 4, 9, 3}), "man's t-shirt (man. [EOS]");
  const CharacterTokenizer characters(CharacterUnit::kByte, {'a', 'b', 0xC3}, true);
  EXPECT_EQ(printed(characters, {0, 2, 1, 3, 0}),
            "a\xC3"
            "b<|endoftext|>a");
  const auto pieces =
      load_tokenizer(testing::test_folder() + "/oracle/tokenizer/sentencepiece-unigram.model");
  const std::string text = "the trireme rows, rowing bananas.";
  EXPECT_EQ(printed(*pieces, pieces->encode(text, SpecialTokens::kParse)), text);
}

}  // namespace
}  // namespace trireme
