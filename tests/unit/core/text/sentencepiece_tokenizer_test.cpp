#include "core/text/sentencepiece_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "core/base/error.h"
#include "core/base/file.h"
#include "tests/support/paths.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

const std::string kFolder = testing::test_folder() + "/oracle/tokenizer/";

json fixture() {
  return json::parse(read_file(kFolder + "sentencepiece.json"));
}

std::unique_ptr<Tokenizer> load(const std::string& name) {
  return load_tokenizer(kFolder + "sentencepiece-" + name + ".model");
}

TEST(SentencePiece, EncodesAndDecodesLikeThePythonPackage) {
  const json wanted = fixture();
  ASSERT_EQ(wanted["cases"].size(), 2u);
  for (const auto& expected : wanted["cases"]) {
    SCOPED_TRACE(expected["name"]);
    const auto tokenizer = load(expected["name"]);
    EXPECT_EQ(tokenizer->kind(), "SentencePiece");
    EXPECT_FALSE(tokenizer->may_be_cut());
    EXPECT_EQ(tokenizer->vocab_size(), expected["vocab_size"].get<int64_t>());
    for (size_t i = 0; i < wanted["texts"].size(); ++i) {
      const auto text = wanted["texts"][i].get<std::string>();
      const Ids ids = tokenizer->encode(text, SpecialTokens::kIgnore);
      EXPECT_EQ(ids, expected["ids"][i].get<Ids>()) << wanted["texts"][i];
      EXPECT_EQ(tokenizer->decode(ids, SpecialTokens::kIgnore), expected["decoded"][i].get<std::string>())
          << wanted["texts"][i];
    }
  }
}

TEST(SentencePiece, KnowsWhatItsSpecialTokensAreFor) {
  const json wanted = fixture();
  for (const auto& expected : wanted["cases"]) {
    const auto tokenizer = load(expected["name"]);
    const auto same = [&](std::optional<int32_t> id, const char* key) {
      EXPECT_EQ(id.value_or(-1), expected["special"][key].get<int32_t>()) << key;
    };
    same(tokenizer->special().pad, "pad");
    same(tokenizer->special().unknown, "unknown");
    same(tokenizer->special().begin, "begin");
    same(tokenizer->special().end, "end");
  }
  const auto bpe = load("bpe");
  EXPECT_EQ(bpe->token(bpe->special().cls.value()), "[CLS]");
  EXPECT_EQ(bpe->token(bpe->special().sep.value()), "[SEP]");
  EXPECT_EQ(bpe->token(bpe->special().mask.value()), "[MASK]");
  EXPECT_EQ(load("unigram")->special().mask, std::nullopt);
  const Ids ids = bpe->encode("the rows</s>a trireme", SpecialTokens::kParse);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), bpe->special().end.value()), 1);
  EXPECT_EQ(bpe->decode(ids, SpecialTokens::kParse), "the rows</s>a trireme");
}

TEST(SentencePiece, SavesAndLoadsTheSameTokenizer) {
  const testing::TemporaryFolder folder;
  const auto tokenizer = load("unigram");
  tokenizer->save((folder.path() / "saved").string());
  const auto loaded = load_tokenizer((folder.path() / "saved").string());
  EXPECT_EQ(loaded->content_hash(), tokenizer->content_hash());
  EXPECT_NE(loaded->content_hash(), load("bpe")->content_hash());
  EXPECT_EQ(testing::read_file(folder.path() / "saved/tokenizer.model"),
            testing::read_file(kFolder + "sentencepiece-unigram.model"));
}

TEST(SentencePiece, TakesAnyBytes) {
  const unsigned seed = 20261123;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (const char* name : {"unigram", "bpe"}) {
    const auto tokenizer = load(name);
    for (int round = 0; round < 200; ++round) {
      std::string text(random() % 60, '\0');
      for (char& byte : text)
        byte = static_cast<char>(round % 2 ? random() : "ab \xE2\x82\0\xFF"[random() % 7]);
      for (const int32_t id : tokenizer->encode(text, SpecialTokens::kIgnore))
        ASSERT_TRUE(id >= 0 && id < tokenizer->vocab_size());
    }
    EXPECT_GT(tokenizer->encode(std::string(1 << 20, 'a'), SpecialTokens::kIgnore).size(), 0u);
  }
}

TEST(SentencePiece, LearnsFromLines) {
  std::string text;
  const json wanted = fixture();
  for (const auto& line : wanted["training_lines"]) text += line.get<std::string>() + "\n";
  for (const auto model : {SentencePieceModel::kUnigram, SentencePieceModel::kBpe}) {
    SentencePieceTrainer trainer({.vocab_size = 110, .model = model});
    const std::string_view view = text;
    trainer.add({&view, 1});
    const auto tokenizer = trainer.train();
    EXPECT_LE(tokenizer->vocab_size(), 110);
    EXPECT_GT(tokenizer->vocab_size(), 60);
    EXPECT_EQ(tokenizer->special().pad, 0);
    EXPECT_EQ(tokenizer->special().end, 3);
    const std::string sentence = "the trireme rows";
    const Ids ids = tokenizer->encode(sentence, SpecialTokens::kParse);
    EXPECT_LT(ids.size(), sentence.size());
    EXPECT_EQ(tokenizer->decode(ids, SpecialTokens::kParse), sentence);
    EXPECT_EQ(trainer.train()->content_hash(), tokenizer->content_hash());
  }
}

TEST(SentencePiece, RefusesWhatCannotWork) {
  EXPECT_THROW(SentencePieceTrainer({}).train(), DataError);
  SentencePieceTrainer trainer({.vocab_size = 3});
  const std::string_view text = "some text";
  trainer.add({&text, 1});
  EXPECT_THROW(trainer.train(), ConfigError);
  const testing::TemporaryFolder folder;
  const std::string good = testing::read_file(kFolder + "sentencepiece-unigram.model");
  for (const std::string& content :
       {std::string(), std::string("not a model"), good.substr(0, good.size() / 2), std::string(100, '\0'),
        std::string("\x7F"
                    "ELF")}) {
    std::string message = "accepted";
    try {
      load_tokenizer(folder.write("x.model", content).string());
    } catch (const DataError& error) {
      message = error.what();
    }
    EXPECT_THAT(message, HasSubstr("x.model: is no SentencePiece model"));
  }
}

}  // namespace
}  // namespace trireme
