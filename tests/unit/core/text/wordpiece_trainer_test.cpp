#include "core/text/wordpiece_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/text/utf8.h"
#include "tests/support/paths.h"

namespace trireme {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

WordPieceVocabulary train(std::string_view text, WordPieceTrainingOptions options) {
  WordPieceTrainer trainer(options);
  trainer.add({&text, 1});
  return trainer.train();
}

TEST(WordPieceTrainer, MergesTheMostFrequentPairAndPutsSpecialTokensFirst) {
  const auto vocabulary = train("hug hug pug bun", {.vocab_size = 100});
  EXPECT_THAT(vocabulary.tokens, ElementsAre("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "b", "g", "h", "n",
                                             "p", "u", "##g", "##n", "##u", "##ug", "hug"));
  EXPECT_EQ(train("hug hug pug bun", {.vocab_size = 15}).tokens.size(), 15u);
  EXPECT_EQ(train("hug hug pug bun", {.vocab_size = 100, .min_frequency = 3}).tokens.back(), "##ug");
}

TEST(WordPieceTrainer, LearnsTheTokensThatHuggingFaceLearns) {
  const json fixture = json::parse(read_file(testing::test_folder() + "/oracle/tokenizer/wordpiece.json"));
  ASSERT_GT(fixture["trained"].size(), 6u);
  for (const auto& wanted : fixture["trained"]) {
    const bool lower = wanted["lower"];
    for (const int num_threads : {1, 3}) {
      WordPieceTrainer trainer({.vocab_size = wanted["vocab_size"],
                                .min_frequency = wanted["min_frequency"],
                                .text = {.strip_accents = lower, .lower_case = lower},
                                .num_threads = num_threads});
      for (const auto& text : fixture["training_texts"]) {
        const auto content = text.get<std::string>();
        const std::string_view view = content;
        trainer.add({&view, 1});
      }
      auto tokens = trainer.train().tokens;
      std::sort(tokens.begin(), tokens.end());
      EXPECT_EQ(tokens, wanted["tokens"].get<std::vector<std::string>>()) << wanted["vocab_size"] << lower;
    }
  }
}

TEST(WordPieceTrainer, FollowsItsTextOptions) {
  const BertTextOptions cased{.strip_accents = false, .lower_case = false};
  EXPECT_EQ(train("É é", {}).tokens.back(), "e");
  EXPECT_EQ(train("É é", {.text = cased}).tokens.back(), "é");
  EXPECT_EQ(train("É é", {.text = cased}).text, cased);
  EXPECT_THAT(train("aa abcd", {.max_word_length = 3}).tokens, ::testing::Not(::testing::Contains("##d")));
}

TEST(WordPieceTrainer, LeavesRareCharactersToUnknown) {
  std::string text;
  for (char32_t c = 0xAC00; c < 0xAC00 + 1500; ++c) {
    append_utf8(text, c);
    text += c < 0xAC00 + 500 ? " " : "a ";
  }
  std::string twice = text.substr(0, 500 * 4);
  const auto vocabulary = train(twice + text, {.vocab_size = 3000, .text = {.strip_accents = false}});
  EXPECT_THAT(vocabulary.tokens, ::testing::Contains("\xEA\xB0\x80"));
  EXPECT_EQ(std::count_if(vocabulary.tokens.begin(), vocabulary.tokens.end(),
                          [](const std::string& token) { return token.size() == 3 && token[0] != '#'; }),
            999);  // and the letter a
}

TEST(WordPieceTrainer, RefusesWhatCannotWork) {
  EXPECT_THROW(train("", {}), DataError);
  EXPECT_THROW(train(" \n", {}), DataError);
  EXPECT_THROW(train("\xFF", {}), DataError);
  try {
    train("hug", {.vocab_size = 9});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("this text has 5 characters"));
  }
}

}  // namespace
}  // namespace trireme
