#include "core/text/word_splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/text/utf8.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using Words = std::vector<std::string_view>;

Words split(std::string_view text) {
  const WordSplitter splitter;
  WordSplitter::Scratch scratch(splitter);
  Words words;
  splitter.split(text, scratch, words);
  return words;
}

TEST(WordSplitter, CutsAsGpt2Does) {
  EXPECT_THAT(split("Hello world, it's 2024!!  x"),
              ElementsAre("Hello", " world", ",", " it", "'s", " 2024", "!!", " ", " x"));
  EXPECT_THAT(split("a\n\n  b\t"), ElementsAre("a", "\n\n ", " b", "\t"));
  EXPECT_THAT(split("don'T"), ElementsAre("don", "'", "T"));
  EXPECT_TRUE(split("").empty());
}

TEST(WordSplitter, TakesUnicodeWhiteSpaceAndNothingElseAsSpace) {
  EXPECT_THAT(split("a\u0085b"), ElementsAre("a", "\u0085", "b"));
  EXPECT_THAT(split("a\u3000b"), ElementsAre("a", "\u3000", "b"));
  EXPECT_THAT(split("a\u180Eb"), ElementsAre("a", "\u180E", "b"));
  EXPECT_THAT(split("!\u180E!"),
              ElementsAre("!\u180E!"));  // a format character is no space since Unicode 6.3
}

TEST(WordSplitter, KeepsBytesThatAreNotUtf8AsWords) {
  EXPECT_THAT(split("a\xFF\xFE b"), ElementsAre("a", "\xFF\xFE", " b"));
  EXPECT_THAT(split("\xE2\x82"), ElementsAre("\xE2\x82"));
  EXPECT_THAT(split("x\xED\xA0\x80y"), ElementsAre("x", "\xED\xA0\x80", "y"));  // a surrogate
}

TEST(CutBetweenWords, GivesTheSameWordsInStretchesOfAnySize) {
  const unsigned seed = 99;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::string pieces[] = {" ", "\n", "  ", "a", "'s", "é", "1", "!", "\xFF", "\u3000", "\t", "word"};
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (int i = 0; i < 60; ++i) text += pieces[random() % std::size(pieces)];
    Words words;
    size_t begin = 0;
    for (const std::string_view part : cut_between_words(text, 1 + random() % 20)) {
      EXPECT_EQ(part.data(), text.data() + begin);
      begin += part.size();
      for (const std::string_view word : split(part)) words.push_back(word);
    }
    EXPECT_EQ(begin, text.size());
    ASSERT_EQ(words, split(text));
  }
}

TEST(Utf8, AcceptsExactlyTheWellFormedSequences) {
  // Every one, two and three byte sequence against the definition by re-encoding.
  for (uint32_t bytes = 0; bytes < 0x1000000; bytes += bytes < 0x10000 ? 1 : 7) {
    const char text[3] = {static_cast<char>(bytes), static_cast<char>(bytes >> 8),
                          static_cast<char>(bytes >> 16)};
    size_t position = 0;
    if (const auto code_point = next_code_point({text, 3}, position)) {
      std::string encoded;
      append_utf8(encoded, *code_point);
      ASSERT_EQ(encoded, std::string_view(text, position));
      ASSERT_FALSE(*code_point >= 0xD800 && *code_point < 0xE000);
    } else {
      ASSERT_EQ(position, 0u);
    }
  }
  for (char32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
    if (code_point >= 0xD800 && code_point < 0xE000) continue;
    std::string encoded;
    append_utf8(encoded, code_point);
    size_t position = 0;
    ASSERT_EQ(next_code_point(encoded, position), code_point);
    ASSERT_EQ(position, encoded.size());
  }
  for (const char* bad :
       {"\xF4\x90\x80\x80", "\xF0\x80\x80\x80", "\xF5\x80\x80\x80", "\xF0\x9F\x99", "\xC0\x80"})
    EXPECT_EQ(valid_utf8_prefix(bad), 0u);
  EXPECT_EQ(valid_utf8_prefix("12345678901234567é\xFF"), 19u);
}

}  // namespace
}  // namespace trireme
