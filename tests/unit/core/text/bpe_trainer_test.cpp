#include "core/text/bpe_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;

BpeVocabulary train(std::string_view text, BpeTrainingOptions options) {
  BpeTrainer trainer(std::move(options));
  trainer.add({&text, 1});
  return trainer.train();
}

TEST(BpeTrainer, LearnsTheMergesOfTheMinbpeExample) {
  // github.com/karpathy/minbpe tests/test_tokenizer.py: ids 258 100 258 97 99 with bytes as ids, that is:
  const ByteLevelBpe tokenizer(
      train("aaabdaaabac", {.vocab_size = 259, .min_frequency = 1, .special_tokens = {}}));
  EXPECT_EQ(tokenizer.merges().size(), 3u);
  std::vector<std::string> tokens;
  const auto ids = tokenizer.encode("aaabdaaabac", SpecialTokens::kIgnore);
  for (const int32_t id : ids) tokens.push_back(tokenizer.token(id));
  EXPECT_THAT(tokens, ElementsAre("aaab", "d", "aaab", "a", "c"));
  EXPECT_EQ(ids[0], 258);
  EXPECT_EQ(ids[2], 258);
}

TEST(BpeTrainer, BreaksTiesByTheLowestIds) {
  const BpeVocabulary vocabulary =
      train("zy ba", {.vocab_size = 257, .min_frequency = 1, .special_tokens = {}});
  EXPECT_EQ(vocabulary.tokens[256], "ba");
}

TEST(BpeTrainer, PutsSpecialTokensFirst) {
  const BpeVocabulary vocabulary =
      train("ab ab", {.vocab_size = 300, .special_tokens = {"<a>", kEndOfDocument}});
  EXPECT_EQ(vocabulary.tokens[0], "<a>");
  EXPECT_EQ(vocabulary.tokens[1], kEndOfDocument);
  EXPECT_EQ(vocabulary.tokens[2], "!");
  EXPECT_THAT(vocabulary.special_ids, ElementsAre(0, 1));
}

TEST(BpeTrainer, MergesNothingBelowTheMinimumFrequency) {
  EXPECT_EQ(train("ab ab cd", {.vocab_size = 300, .min_frequency = 3}).merges.size(), 0u);
  EXPECT_EQ(train("ab ab cd", {.vocab_size = 300, .min_frequency = 1}).merges.size(), 4u);
}

TEST(BpeTrainer, GivesTheSameVocabularyForAnyNumberOfThreadsAndCallsOfAdd) {
  std::string text;
  for (int64_t i = 0; i < 60000; ++i) text += "item" + std::to_string(i * i % 1009) + (i % 3 ? " " : "\n  ");
  const std::string expected = ByteLevelBpe(train(text, {.vocab_size = 500})).content_hash();
  EXPECT_EQ(ByteLevelBpe(train(text, {.vocab_size = 500, .num_threads = 4})).content_hash(), expected);
  BpeTrainer trainer({.vocab_size = 500, .num_threads = 2});
  for (const std::string_view part : cut_between_words(text, 1000)) trainer.add({&part, 1});
  EXPECT_EQ(ByteLevelBpe(trainer.train()).content_hash(), expected);
}

TEST(BpeTrainer, LearnsFromAWordLongerThanItsPieces) {
  std::string text;
  for (uint32_t i = 0, x = 1; i < 300000; ++i, x = x * 1664525 + 1013904223) text += "ACGT"[x >> 30];
  const ByteLevelBpe tokenizer(train(text, {.vocab_size = 1000}));
  EXPECT_EQ(tokenizer.vocab_size(), 1000);
  EXPECT_LT(tokenizer.encode(text, SpecialTokens::kIgnore).size(), text.size() / 4);
}

TEST(BpeTrainer, RefusesWhatCannotWork) {
  EXPECT_THROW(BpeTrainer({.vocab_size = 256}), ConfigError);
  EXPECT_THROW(BpeTrainer({.special_tokens = {"a", "a"}}), ConfigError);
  EXPECT_THROW(BpeTrainer({.special_tokens = {""}}), ConfigError);
  EXPECT_THROW(BpeTrainer({}).train(), DataError);
  EXPECT_THROW(train("", {}), DataError);
}

}  // namespace
}  // namespace trireme
