#include "core/text/character_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

std::unique_ptr<CharacterTokenizer> train(std::string_view text, CharacterUnit unit, bool end_of_document) {
  CharacterTrainer trainer(unit);
  trainer.add(text);
  return trainer.train(end_of_document);
}

template <class Body>
std::string message_of(Body&& body) {
  try {
    body();
  } catch (const DataError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(CharacterTokenizer, NumbersCodePointsInAscendingOrder) {
  const auto tokenizer = train("hé hello 🙂", CharacterUnit::kCodePoint, false);
  // space e h l o é 🙂
  EXPECT_EQ(tokenizer->vocab_size(), 7);
  const Ids ids = tokenizer->encode("hé🙂", SpecialTokens::kParse);
  EXPECT_THAT(ids, ElementsAre(2, 5, 6));
  EXPECT_EQ(tokenizer->decode(ids, SpecialTokens::kParse), "hé🙂");
  EXPECT_EQ(tokenizer->id_of("é"), 5);
  EXPECT_EQ(tokenizer->token(5), "é");
  EXPECT_EQ(tokenizer->id_of("x"), std::nullopt);
  EXPECT_EQ(tokenizer->end_of_document_id(), std::nullopt);
}

TEST(CharacterTokenizer, TakesAnyBytesAsBytes) {
  const std::string text("\xFF\x00\xC3(", 4);
  const auto tokenizer = train(text, CharacterUnit::kByte, false);
  const Ids ids = tokenizer->encode(text, SpecialTokens::kParse);
  EXPECT_THAT(ids, ElementsAre(3, 0, 2, 1));
  EXPECT_EQ(tokenizer->decode(ids, SpecialTokens::kParse), text);
}

TEST(CharacterTokenizer, EndsDocumentsOnlyWhenAsked) {
  const auto tokenizer = train("<|endoftx>", CharacterUnit::kCodePoint, true);
  const auto id = tokenizer->end_of_document_id();
  ASSERT_EQ(id, tokenizer->vocab_size() - 1);
  EXPECT_THAT(tokenizer->encode("<|endoftext|>", SpecialTokens::kParse), ElementsAre(*id));
  EXPECT_EQ(tokenizer->encode("<|endoftext|>", SpecialTokens::kIgnore).size(), 13u);
}

TEST(CharacterTokenizer, NamesTheCharacterItDoesNotKnow) {
  const auto tokenizer = train("abc", CharacterUnit::kCodePoint, false);
  EXPECT_THAT(message_of([&] { tokenizer->encode("ab\xE2\x82\xAC", SpecialTokens::kParse); }),
              HasSubstr("U+20AC at byte 2 of the text is not in the vocabulary of 3 characters"));
}

TEST(CharacterTokenizer, NamesTheByteThatIsNotUtf8) {
  EXPECT_THAT(message_of([] { train("ab\xFF", CharacterUnit::kCodePoint, false); }),
              HasSubstr("byte 2 of the text (0xFF) is not UTF-8"));
  EXPECT_THAT(message_of([] { train("", CharacterUnit::kCodePoint, false); }), HasSubstr("no text"));
}

TEST(CharacterTokenizer, SavesAndLoadsTheSameTokenizer) {
  for (const auto unit : {CharacterUnit::kByte, CharacterUnit::kCodePoint}) {
    const testing::TemporaryFolder folder;
    const auto tokenizer = train("some text: é", unit, true);
    tokenizer->save(folder.path().string());
    const auto loaded = load_tokenizer(folder.path().string());
    EXPECT_EQ(loaded->kind(), "character");
    EXPECT_EQ(loaded->content_hash(), tokenizer->content_hash());
    EXPECT_EQ(loaded->encode("some é", SpecialTokens::kParse),
              tokenizer->encode("some é", SpecialTokens::kParse));
  }
  EXPECT_NE(train("abc", CharacterUnit::kByte, true)->content_hash(),
            train("abc", CharacterUnit::kByte, false)->content_hash());
}

}  // namespace
}  // namespace trireme
