#include "core/text/words_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <sstream>

#include "core/base/error.h"
#include "core/data/line_reader.h"
#include "core/text/sentence_words.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

std::string split(std::string_view text, bool lower_case = true) {
  std::string result;
  for (const std::string& word : split_sentence(text, lower_case))
    result += (result.empty() ? "" : " ") + word;
  return result;
}

std::string join(const std::vector<std::string>& words) {
  return join_sentence(std::vector<std::string_view>(words.begin(), words.end()));
}

std::unique_ptr<WordsTokenizer> train(std::string_view text, WordsTrainingOptions options) {
  WordsTrainer trainer(options);
  trainer.add({&text, 1});
  return trainer.train();
}

TEST(SentenceWords, AreCutAtPunctuationAndEnglishEndings) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"Two men, outside.", "two men , outside ."},
      {"A man's dog doesn't bark.", "a man 's dog does n't bark ."},
      {"I couldn\xE2\x80\x99t've, we'll", "i could n\xE2\x80\x99t 've , we 'll"},
      {"it 's n't ' s", "it 's n't ' s"},
      {"o'clock rock'n'roll dogs' toys", "o'clock rock'n'roll dogs ' toys"},
      {"T-Shirt - ein- und -aus --", "t @-@ shirt - ein @- und -@ aus --"},
      {"costs $3.50, 1,000 at 10:30. 5.", "costs $ 3.50 , 1,000 at 10:30 . 5 ."},
      {"wait... (what?!) \"yes\" and/or", "wait ... ( what ? ! ) \" yes \" and / or"},
      {"say 'hello' now", "say '@ hello ' now"},
      {"M\xC3\xA4"
       "dchen STRASSE \xC3\x96l",
       "m\xC3\xA4"
       "dchen strasse \xC3\xB6l"},
      {"e\xCC\x81t\xC3\xA9", "\xC3\xA9t\xC3\xA9"},
      {"\xE2\x80\x9EJa\xE2\x80\x9C \xF0\x9F\x99\x82!", "\xE2\x80\x9E ja \xE2\x80\x9C \xF0\x9F\x99\x82 !"},
      {std::string("a\0b\xFF"
                   "c\td",
                   7),
       "abc d"},
      {"[UNK] <s>", "[ unk ] < s >"},
      {"  \n ", ""},
  };
  for (const auto& [text, expected] : table) EXPECT_EQ(split(text), expected) << text;
  EXPECT_EQ(split("DON'T Stop", false), "DO N'T Stop");
}

TEST(SentenceWords, AreJoinedWithTheSpacesThatPeopleWrite) {
  for (const char* text :
       {"two men, outside.", "a man's dog doesn't bark.", "t-shirt - ein- und -aus",
        "wait... (what?!) \"yes\" and/or", "costs $3.50, 1,000 at 10:30.", "say 'hello now", "the dogs' toys",
        "a 50% sale; \"one\" and \"two\": [x]", "could n't've", "a . . b"})
    EXPECT_EQ(join(split_sentence(text, true)), std::string(text) == "could n't've" ? "couldn't've"
                                                : std::string(text) == "a . . b"    ? "a. . b"
                                                                                    : text);
  for (const char* text : {"er sagt \xE2\x80\x9Eja\xE2\x80\x9C, sie \xE2\x80\x9Enein\xE2\x80\x9C.",
                           "a \xE2\x80\x9Cyes\xE2\x80\x9D, #19"})
    EXPECT_EQ(join(split_sentence(text, true)), text);
  EXPECT_EQ(join({"it", "'s", "n't", "!"}), "it'sn't!");
  EXPECT_EQ(join({}), "");
}

TEST(SentenceWords, AreTheSameAfterJoining) {
  const unsigned seed = 20261122;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::vector<std::string> fragments = {"a", "Dog", "it", "don't", "man's", "'",    "-", "--", ".",
                                              ",", "3",   "10", "\"",    "(",     ")",    "/", "$",  "%",
                                              "@", ":",   "&",  "é",     "ß",     "🙂", " ", " ",  " ",
                                              " ", "  ",  "!",  "?",     "...",   "[",    "«", "„"};
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (int i = 0, count = static_cast<int>(random() % 12); i < count; ++i)
      text += fragments[random() % fragments.size()];
    const auto words = split_sentence(text, true);
    ASSERT_EQ(split_sentence(join(words), true), words) << "'" << text << "' -> '" << join(words) << "'";
  }
}

TEST(SentenceWords, AreJoinedAsThePeopleOfMulti30kWroteThem) {
  const char* data = std::getenv("TRIREME_DATA_DIR");
  if (data == nullptr) GTEST_SKIP() << "TRIREME_DATA_DIR is not set";
  for (const char* name : {"test_2016_flickr.de.gz", "test_2016_flickr.en.gz"}) {
    LineReader reader(std::string(data) + "/multi30k/" + name);
    int same = 0, count = 0;
    for (std::string line; reader.next(line); ++count) {
      // Several spaces, and those at the ends, are not kept.
      std::istringstream parts(line);
      std::string expected;
      for (std::string part; parts >> part;) expected += (expected.empty() ? "" : " ") + part;
      same += join(split_sentence(line, false)) == expected;
    }
    EXPECT_EQ(count, 1000);
    EXPECT_GE(same, 990) << name;
  }
}

TEST(SentenceWords, TakeAHugeWordWithoutQuadraticTime) {
  std::string text;
  for (int i = 0; i < 300000; ++i) text += "n't";
  EXPECT_EQ(split_sentence(text, true).size(), 1u);
  EXPECT_EQ(split_sentence(std::string(1 << 20, '\''), true).size(), size_t{1} << 20);
}

TEST(WordsTokenizer, OrdersWordsByFrequencyThenText) {
  const auto tokenizer = train("b a c b a c C, d d d once", {});
  std::vector<std::string> tokens;
  for (int32_t id = 0; id < tokenizer->vocab_size(); ++id) tokens.push_back(tokenizer->token(id));
  EXPECT_THAT(tokens, ElementsAre("[PAD]", "[UNK]", "[BOS]", "[EOS]", "c", "d", "a", "b"));
  EXPECT_EQ(train("b a c b a c C, d d d once", {.vocab_size = 6})->vocab_size(), 6);
  EXPECT_EQ(train("b a c b a c C, d d d once", {.min_frequency = 1})->vocab_size(), 10);
  EXPECT_EQ(train("C c", {.min_frequency = 1, .lower_case = false})->vocab_size(), 6);
  EXPECT_EQ(tokenizer->special().pad, 0);
  EXPECT_EQ(tokenizer->special().unknown, 1);
  EXPECT_EQ(tokenizer->special().begin, 2);
  EXPECT_EQ(tokenizer->special().end, 3);
  EXPECT_EQ(tokenizer->special().mask, std::nullopt);
}

TEST(WordsTokenizer, EncodesUnknownWordsAsOneAndDecodesSentences) {
  const auto tokenizer = train("the man 's dog , the man . the t-shirt", {.min_frequency = 1});
  const Ids ids = tokenizer->encode("The man's [EOS] t-shirt.", SpecialTokens::kParse);
  EXPECT_EQ(tokenizer->decode(ids, SpecialTokens::kParse), "the man's [EOS] t-shirt.");
  EXPECT_EQ(tokenizer->decode(ids, SpecialTokens::kIgnore), "the man's t-shirt.");
  EXPECT_THAT(tokenizer->encode("cat \xF0\x9F\x99\x82", SpecialTokens::kParse), ElementsAre(1, 1));
  EXPECT_THAT(tokenizer->encode("[PAD]", SpecialTokens::kIgnore), ElementsAre(1, 1, 1));
  EXPECT_THAT(tokenizer->encode("", SpecialTokens::kParse), ElementsAre());
}

TEST(WordsTokenizer, IsTheSameForAnyNumberOfThreads) {
  std::string text;
  for (int64_t i = 0; i < 60000; ++i) text += "item" + std::to_string(i * i % 1009) + (i % 3 ? " " : "\n  ");
  EXPECT_EQ(train(text, {})->content_hash(), train(text, {.num_threads = 4})->content_hash());
}

TEST(WordsTokenizer, SavesAndLoadsTheSameTokenizer) {
  const testing::TemporaryFolder folder;
  for (const bool lower_case : {true, false}) {
    const auto tokenizer = train("Größe \"x\" Größe größe 🙂 🙂", {.lower_case = lower_case});
    tokenizer->save(folder.path().string());
    const auto loaded = load_tokenizer(folder.path().string());
    EXPECT_EQ(loaded->kind(), "words");
    EXPECT_EQ(loaded->content_hash(), tokenizer->content_hash());
    EXPECT_EQ(loaded->special().end, 3);
    EXPECT_EQ(loaded->encode("Größe", SpecialTokens::kParse),
              tokenizer->encode("Größe", SpecialTokens::kParse));
  }
  EXPECT_NE(WordsTokenizer({"a"}, true).content_hash(), WordsTokenizer({"a"}, false).content_hash());
}

TEST(WordsTokenizer, RefusesWhatCannotWork) {
  EXPECT_THROW(WordsTrainer({.vocab_size = 4}), ConfigError);
  EXPECT_THROW(train("", {}), DataError);
  EXPECT_THROW(WordsTokenizer({"a", ""}, true), DataError);
  const std::string head = R"({"type": "trireme-words", )";
  const std::vector<std::pair<std::string, const char*>> table = {
      {head + R"("version": 1, "lower_case": true, "words": ["a"]})", "accepted"},
      {head + R"("version": 3})", "version 3 is not known"},
      {head + R"("version": 1})", "lower_case is null, expected true or false"},
      {head + R"("version": 1, "lower_case": 1})", "lower_case is number"},
      {head + R"("version": 1, "lower_case": true})", "words is null, expected a list"},
      {head + R"("version": 1, "lower_case": true, "words": [7]})", "words has number, expected texts"},
      {head + R"("version": 1, "lower_case": true, "words": ["a", ""]})", "token 5 is empty"},
      {head + R"("version": 1, "lower_case": true, "words": ["a", "a"]})", "tokens 4 and 5 are both 'a'"},
      {head + R"("version": 1, "lower_case": true, "words": ["[BOS]"]})", "tokens 2 and 4 are both '[BOS]'"},
  };
  const testing::TemporaryFolder folder;
  for (const auto& [content, expected] : table) {
    std::string message = "accepted";
    try {
      load_tokenizer(folder.write("tokenizer.json", content).string());
    } catch (const DataError& error) {
      message = error.what();
      EXPECT_THAT(message, HasSubstr("tokenizer.json: "));
    }
    EXPECT_THAT(message, HasSubstr(expected));
  }
}

}  // namespace
}  // namespace trireme
