#include "core/text/byte_level_bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <cstdlib>
#include <functional>
#include <sstream>

#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/text/bpe_files.h"
#include "core/text/bpe_trainer.h"
#include "tests/support/paths.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

/// The 256 bytes (id == byte), then a merged token per pair, then <|endoftext|>.
std::unique_ptr<ByteLevelBpe> small_tokenizer(const std::vector<TokenPair>& merges = {}) {
  BpeVocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
  for (const auto& [left, right] : merges)
    vocabulary.tokens.push_back(vocabulary.tokens[left] + vocabulary.tokens[right]);
  vocabulary.merges = merges;
  vocabulary.special_ids.push_back(static_cast<int32_t>(vocabulary.tokens.size()));
  vocabulary.tokens.emplace_back(kEndOfDocument);
  return std::make_unique<ByteLevelBpe>(vocabulary);
}

std::string gpt2_folder() {
  const char* data = std::getenv("TRIREME_DATA_DIR");
  return data ? std::string(data) + "/gpt2-bpe" : "";
}

TEST(ByteLevelBpe, MergesTheLowestRankFirst) {
  const auto tokenizer = small_tokenizer({{'b', 'c'}, {'a', 'b'}, {'a', 256}});
  EXPECT_THAT(tokenizer->encode("abc", SpecialTokens::kParse), ElementsAre(258));
  EXPECT_THAT(tokenizer->encode("abab", SpecialTokens::kParse), ElementsAre(257, 257));
  EXPECT_THAT(tokenizer->encode("bcb", SpecialTokens::kParse), ElementsAre(256, 'b'));
}

TEST(ByteLevelBpe, MergesTheLeftmostOfOverlappingPairs) {
  const auto tokenizer = small_tokenizer({{'a', 'a'}});
  EXPECT_THAT(tokenizer->encode("aaaaa", SpecialTokens::kParse), ElementsAre(256, 256, 'a'));
}

TEST(ByteLevelBpe, NeverMergesAcrossWords) {
  const auto tokenizer = small_tokenizer({{'a', ' '}, {' ', 'b'}});
  EXPECT_THAT(tokenizer->encode("a b", SpecialTokens::kParse), ElementsAre('a', 257));
}

TEST(ByteLevelBpe, ParsesSpecialTokensOnlyWhenAsked) {
  const auto tokenizer = small_tokenizer();
  EXPECT_EQ(tokenizer->end_of_document_id(), 256);
  EXPECT_THAT(tokenizer->encode("a<|endoftext|>b", SpecialTokens::kParse), ElementsAre('a', 256, 'b'));
  const Ids plain = tokenizer->encode("a<|endoftext|>b", SpecialTokens::kIgnore);
  EXPECT_EQ(plain.size(), 15u);
  EXPECT_EQ(tokenizer->decode(plain, SpecialTokens::kIgnore), "a<|endoftext|>b");
  EXPECT_EQ(tokenizer->decode(Ids{'a', 256, 'b'}, SpecialTokens::kParse), "a<|endoftext|>b");
  EXPECT_EQ(tokenizer->decode(Ids{'a', 256, 'b'}, SpecialTokens::kIgnore), "ab");
}

TEST(ByteLevelBpe, KeepsEveryByteOfRandomBytes) {
  const unsigned seed = 20240607;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto tokenizer = small_tokenizer({{0xE2, 0x82}, {256, 0xAC}, {' ', ' '}, {'a', 0xFF}});
  for (int round = 0; round < 300; ++round) {
    std::string text(random() % 200, '\0');
    // Half of the texts are mostly ASCII and fragments of a euro sign, where the cuts are delicate.
    const std::string fragments = "a  \n\xE2\x82\xAC\xFF\xC0\xED\xA0\x80";
    for (char& byte : text)
      byte = round % 2 ? static_cast<char>(random()) : fragments[random() % fragments.size()];
    const Ids ids = tokenizer->encode(text, SpecialTokens::kIgnore);
    ASSERT_EQ(tokenizer->decode(ids, SpecialTokens::kIgnore), text);
  }
}

TEST(ByteLevelBpe, TakesAWordOfAMegabyteWithoutQuadraticTime) {
  const auto tokenizer = small_tokenizer({{'a', 'a'}, {256, 256}, {257, 257}});
  const std::string text(1 << 20, 'a');
  EXPECT_EQ(tokenizer->encode(text, SpecialTokens::kParse), Ids(1 << 17, 258));
}

TEST(ByteLevelBpe, EncodesTheSameFromSeveralThreads) {
  const auto tokenizer = small_tokenizer({{'t', 'h'}, {256, 'e'}});
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "the word " + std::to_string(i % 977) + '\n';
  const Ids expected = tokenizer->encode(text, SpecialTokens::kParse);
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  for (Ids& result : results)
    threads.emplace_back([&] { result = tokenizer->encode(text, SpecialTokens::kParse); });
  for (auto& thread : threads) thread.join();
  for (const Ids& result : results) EXPECT_EQ(result, expected);
}

TEST(ByteLevelBpe, RefusesToDecodeAnUnknownId) {
  const auto tokenizer = small_tokenizer();
  EXPECT_THROW(tokenizer->decode(Ids{257}, SpecialTokens::kParse), DataError);
  EXPECT_THROW(tokenizer->decode(Ids{-1}, SpecialTokens::kParse), DataError);
}

TEST(ByteLevelBpe, RefusesContradictoryVocabularies) {
  BpeVocabulary good;
  for (int byte = 0; byte < 256; ++byte) good.tokens.emplace_back(1, static_cast<char>(byte));
  good.tokens.emplace_back("ab");
  good.merges.emplace_back('a', 'b');
  EXPECT_NO_THROW(ByteLevelBpe{good});
  const auto message_of = [&](const std::function<void(BpeVocabulary&)>& spoil) -> std::string {
    BpeVocabulary vocabulary = good;
    spoil(vocabulary);
    try {
      ByteLevelBpe tokenizer(vocabulary);
    } catch (const DataError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(message_of([](auto& v) { v.tokens[7] = "xyz"; }), HasSubstr("byte 7 has no token"));
  EXPECT_THAT(message_of([](auto& v) { v.tokens[256] = ""; }), HasSubstr("token 256 is empty"));
  EXPECT_THAT(message_of([](auto& v) { v.tokens.emplace_back("ab"); }),
              HasSubstr("tokens 256 and 257 are the same"));
  EXPECT_THAT(message_of([](auto& v) { v.merges.emplace_back('b', 'a'); }),
              HasSubstr("not in the vocabulary"));
  EXPECT_THAT(message_of([](auto& v) { v.merges.emplace_back('a', 'b'); }), HasSubstr("repeats merge 0"));
  EXPECT_THAT(message_of([](auto& v) {
                v.special_ids = {257};
                v.tokens.emplace_back("ab");
              }),
              HasSubstr("also an ordinary token"));
}

class HuggingFaceFixture : public ::testing::Test {
 protected:
  nlohmann::json fixture_ =
      nlohmann::json::parse(read_file(testing::test_folder() + "/oracle/tokenizer/bpe.json"));
  std::string json_ = fixture_["tokenizer_json"].get<std::string>();
};

TEST_F(HuggingFaceFixture, EncodesLikeHuggingFace) {
  const ByteLevelBpe tokenizer(parse_hugging_face_json(nlohmann::json::parse(json_), "fixture"));
  const auto& texts = fixture_["texts"];
  ASSERT_GT(texts.size(), 50u);
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto text = texts[i].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text, SpecialTokens::kParse), fixture_["ids"][i].get<Ids>()) << texts[i];
    EXPECT_EQ(tokenizer.decode(fixture_["ids"][i].get<Ids>(), SpecialTokens::kParse), text);
  }
}

TEST_F(HuggingFaceFixture, TrainsLikeHuggingFace) {
  const ByteLevelBpe expected(parse_hugging_face_json(nlohmann::json::parse(json_), "fixture"));
  for (const int num_threads : {1, 3}) {
    BpeTrainer trainer({.vocab_size = fixture_["vocab_size"].get<int64_t>(),
                        .min_frequency = fixture_["min_frequency"].get<int64_t>(),
                        .num_threads = num_threads});
    for (const auto& text : fixture_["training_texts"]) {
      const auto content = text.get<std::string>();
      const std::string_view view = content;
      trainer.add({&view, 1});
    }
    const ByteLevelBpe trained(trainer.train());
    EXPECT_EQ(trained.merges(), expected.merges());
    EXPECT_EQ(trained.content_hash(), expected.content_hash());
  }
}

TEST_F(HuggingFaceFixture, StopsTrainingWherePairsRunOut) {
  BpeTrainer trainer({.vocab_size = 100000, .min_frequency = 3});
  for (const auto& text : fixture_["training_texts"]) {
    const auto content = text.get<std::string>();
    const std::string_view view = content;
    trainer.add({&view, 1});
  }
  EXPECT_EQ(trainer.train().tokens.size(), fixture_["exhausted_vocab_size"].get<size_t>());
}

TEST_F(HuggingFaceFixture, SavesAndLoadsTheSameTokenizer) {
  const testing::TemporaryFolder folder;
  const ByteLevelBpe tokenizer(parse_hugging_face_json(nlohmann::json::parse(json_), "fixture"));
  tokenizer.save((folder.path() / "saved").string());
  const auto loaded = load_tokenizer((folder.path() / "saved").string());
  EXPECT_EQ(loaded->content_hash(), tokenizer.content_hash());
  EXPECT_EQ(loaded->kind(), "byte-level BPE");
  for (const auto& text : fixture_["texts"])
    EXPECT_EQ(loaded->encode(text.get<std::string>(), SpecialTokens::kParse),
              tokenizer.encode(text.get<std::string>(), SpecialTokens::kParse));
}

TEST_F(HuggingFaceFixture, WritesTheJsonThatHuggingFaceWrites) {
  // The same fields with the same values, apart from how a merge is written and from what only moves offsets
  // or decodes: Hugging Face loads ours with the same results (tests/oracle/tokenizer/check_saved.py).
  const auto theirs = nlohmann::json::parse(json_);
  const auto ours = nlohmann::json::parse(
      to_hugging_face_json(parse_hugging_face_json(nlohmann::json::parse(json_), "fixture")));
  ASSERT_EQ(ours["model"]["merges"].size(), theirs["model"]["merges"].size());
  auto without = [](nlohmann::json object, std::initializer_list<const char*> keys) {
    for (const char* key : keys) object.erase(key);
    return object;
  };
  EXPECT_EQ(without(ours["model"], {"merges"}), without(theirs["model"], {"merges"}));
  EXPECT_EQ(without(ours, {"model", "decoder"}), without(theirs, {"model", "decoder"}));
}

TEST(Gpt2Vocabulary, PassesTheConformanceVectors) {
  if (gpt2_folder().empty()) GTEST_SKIP() << "TRIREME_DATA_DIR is not set";
  const auto tokenizer = load_tokenizer(gpt2_folder());
  EXPECT_EQ(tokenizer->vocab_size(), 50257);
  EXPECT_EQ(tokenizer->end_of_document_id(), 50256);
  const std::string base =
      std::string(std::getenv("TRIREME_DATA_DIR")) + "/tokenizer-vectors/ggml-vocab-gpt-2.gguf";
  const std::string inputs = read_file(base + ".inp"), outputs = read_file(base + ".out");
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::istringstream lines(outputs);
  std::string line;
  int count = 0;
  // Behind the last separator is the 47th text, which is empty and has no ids.
  for (size_t begin = 0; begin <= inputs.size(); ++count) {
    const size_t end = std::min(inputs.find(separator, begin), inputs.size());
    const std::string text = inputs.substr(begin, end - begin);
    begin = end + separator.size();
    if (!std::getline(lines, line)) line.clear();
    std::istringstream numbers(line);
    Ids expected;
    for (int32_t id; numbers >> id;) expected.push_back(id);
    EXPECT_EQ(tokenizer->encode(text, SpecialTokens::kIgnore), expected) << "text " << count << ": " << text;
    EXPECT_EQ(tokenizer->decode(expected, SpecialTokens::kIgnore), text);
  }
  EXPECT_EQ(count, 47);
}

TEST(Gpt2Vocabulary, EncodesTheKnownTexts) {
  if (gpt2_folder().empty()) GTEST_SKIP() << "TRIREME_DATA_DIR is not set";
  const auto tokenizer = load_tokenizer(gpt2_folder());
  const auto encode = [&](const char* text) { return tokenizer->encode(text, SpecialTokens::kParse); };
  EXPECT_THAT(encode("This is some text"), ElementsAre(1212, 318, 617, 2420));
  EXPECT_THAT(encode("indivisible"), ElementsAre(521, 452, 12843));
  EXPECT_THAT(encode("hello 👋 world 🌍"), ElementsAre(31373, 50169, 233, 995, 12520, 234, 235));
  EXPECT_THAT(encode("<|endoftext|>"), ElementsAre(50256));
}

TEST(Gpt2Vocabulary, IsTheSameInHuggingFacesFormat) {
  if (gpt2_folder().empty()) GTEST_SKIP() << "TRIREME_DATA_DIR is not set";
  const testing::TemporaryFolder folder;
  const auto original = load_tokenizer(gpt2_folder());
  original->save(folder.path().string());
  EXPECT_EQ(load_tokenizer(folder.path().string())->content_hash(), original->content_hash());
  EXPECT_EQ(load_tokenizer(gpt2_folder() + "/vocab.bpe")->content_hash(), original->content_hash());
}

}  // namespace
}  // namespace trireme
